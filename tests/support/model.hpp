// model.hpp - a set of guarded float32 parameters on a device, with reproducible values and gradients.
#pragma once

#include <gtest/gtest.h>

#include <cstdint>
#include <map>
#include <string>
#include <vector>

#include "onepass/onepass.hpp"
#include "support/guarded.hpp"

namespace onepass::test {

/// One parameter of a Model.
struct Shape {
  std::int64_t numel = 0;
  int value_misalignment = 0;
  int grad_misalignment = 0;
  std::size_t group = 0;
  int id = -1;  ///< Names the parameter and selects its data, at any position in the list; -1: its position.
};

/// "t3"
std::string tensor_name(int id);

/// Guarded parameters with the names "t<id>".
class Model {
 public:
  explicit Model(std::vector<Shape> shapes, Device device = Device::cpu());

  [[nodiscard]] std::size_t size() const { return shapes_.size(); }
  [[nodiscard]] const Shape& shape(std::size_t tensor) const { return shapes_[tensor]; }
  [[nodiscard]] std::vector<Parameter> parameters() const;
  [[nodiscard]] std::vector<Tensor> gradients() const;
  [[nodiscard]] GuardedBuffer& value(std::size_t tensor) { return values_[tensor]; }
  [[nodiscard]] GuardedBuffer& grad(std::size_t tensor) { return grads_[tensor]; }
  /// Writes the gradients of step `step` out of `steps`. Each depends only on the step and the parameter's
  /// id, not on its position.
  void draw_gradients(std::int64_t step, std::int64_t steps);
  /// Writes gradients without NaN and Inf.
  void draw_finite_gradients(std::int64_t step) { draw_gradients(1000 + step, 200); }
  [[nodiscard]] testing::AssertionResult intact() const;

 private:
  std::vector<Shape> shapes_;
  std::vector<GuardedBuffer> values_;
  std::vector<GuardedBuffer> grads_;
};

/// All floats that an optimizer changes, by name: "t3" and "t3.exp_avg"; the step count is "t3.step".
using Snapshot = std::map<std::string, std::vector<float>>;
Snapshot snapshot(const std::vector<Parameter>& parameters, Optimizer& optimizer);

/// Succeeds if both have the same names with the same bits.
testing::AssertionResult equal_bits(const Snapshot& expected, const Snapshot& actual);

/// Takes `steps` steps with finite gradients; the first has the number `first`.
void train_finite(Model& model, Optimizer& optimizer, std::int64_t steps, std::int64_t first = 1);

/// Takes `steps` steps with gradients that contain NaN and Inf at known elements (poisoned_at()).
void train(Model& model, Optimizer& optimizer, std::int64_t steps, std::int64_t first = 1);

}  // namespace onepass::test
