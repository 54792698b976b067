// model.hpp - a set of guarded parameters on a device, with reproducible values and gradients.
#pragma once

#include <gtest/gtest.h>

#include <cstdint>
#include <map>
#include <string>
#include <vector>

#include "onepass/onepass.hpp"
#include "support/any_optimizer.hpp"
#include "support/guarded.hpp"

namespace onepass::test {

/// One parameter of a Model.
struct Shape {
  std::int64_t numel = 0;
  int value_misalignment = 0;
  int grad_misalignment = 0;
  std::size_t group = 0;
  int id = -1;  ///< Names the parameter and picks its data, wherever it stands; -1: its place in the list.
};

/// "t3"
std::string tensor_name(int id);

/// Parameters "t<id>".
class Model {
 public:
  explicit Model(std::vector<Shape> shapes, Device device = Device::cpu());

  [[nodiscard]] std::size_t size() const { return shapes_.size(); }
  [[nodiscard]] const Shape& shape(std::size_t tensor) const { return shapes_[tensor]; }
  [[nodiscard]] std::vector<Parameter> parameters() const;
  [[nodiscard]] std::vector<Tensor> gradients() const;
  [[nodiscard]] GuardedBuffer& value(std::size_t tensor) { return values_[tensor]; }
  [[nodiscard]] GuardedBuffer& grad(std::size_t tensor) { return grads_[tensor]; }
  /// Writes the gradients of `step`, of `steps` in all; they depend on the parameter's id only.
  void draw_gradients(std::int64_t step, std::int64_t steps);
  /// The same without NaN and Inf.
  void draw_finite_gradients(std::int64_t step) { draw_gradients(1000 + step, 200); }
  [[nodiscard]] testing::AssertionResult intact() const;

 private:
  std::vector<Shape> shapes_;
  std::vector<GuardedBuffer> values_;
  std::vector<GuardedBuffer> grads_;
};

/// Every float that an optimizer moves, by name: "t3" and "t3.exp_avg"; step counts as "t3.step".
using Snapshot = std::map<std::string, std::vector<float>>;
Snapshot snapshot(const std::vector<Parameter>& parameters, AnyOptimizer& optimizer);

/// Equal names and bits.
testing::AssertionResult equal_bits(const Snapshot& expected, const Snapshot& actual);

/// `steps` steps with finite gradients.
void train_finite(Model& model, AnyOptimizer& optimizer, std::int64_t steps, std::int64_t first = 1);

/// `steps` steps with their gradients.
void train(Model& model, AnyOptimizer& optimizer, std::int64_t steps, std::int64_t first = 1);

}  // namespace onepass::test
