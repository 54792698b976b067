// side.hpp - an optimizer with the memory of its parameters, and comparisons of everything that it keeps.
#pragma once

#include <cstddef>
#include <memory>
#include <string>
#include <vector>

#include "fuzz/setup.hpp"

namespace onepass::fuzz {

/// Memory of a tensor, with bytes on both sides that nobody may write. Misaligned by some elements.
class Guarded {
 public:
  Guarded(std::size_t bytes, std::size_t misaligned_by);

  [[nodiscard]] void* data() { return all_.data() + first_; }
  [[nodiscard]] std::vector<std::byte> bytes() const;
  void write(const std::vector<std::byte>& bytes);
  [[nodiscard]] bool intact() const;

 private:
  std::size_t first_, size_;
  std::vector<std::byte> all_;
};

/// The memory of a parameter.
struct TensorMemory {
  TensorPlan plan;
  Guarded value, grad, copy;
  bool has_grad = true;

  TensorMemory(Draw& draw, const TensorPlan& plan);
  [[nodiscard]] Parameter parameter();
  [[nodiscard]] Tensor gradient();
  /// Writes numbers in the gradient's type.
  void write_gradient(const std::vector<float>& numbers);
};

/// Reads numbers of any of the three types as float32.
std::vector<float> decoded(const std::vector<std::byte>& bytes, DType dtype);
std::vector<std::byte> encoded(const std::vector<float>& numbers, DType dtype);

/// All that calls may change and that can be read.
struct Shot {
  StateDict dict;
  std::vector<std::vector<std::byte>> values, grads, copies;
};

/// One of two optimizers that must keep equal bits.
struct Side {
  Setup setup;
  std::vector<std::unique_ptr<TensorMemory>> memory;
  std::unique_ptr<SharedLossScaler> scaler;
  std::unique_ptr<Optimizer> optimizer;
  float found_inf = 0.0f, grad_scale = 1.0f, weight = 1.0f;  ///< What the handling's pointers point to.

  /// Draws the first values.
  Side(Draw& draw, const Setup& setup);
  /// Makes an optimizer of equal parameters, which has taken no step.
  Side(Draw& draw, const Side& other);

  [[nodiscard]] Shot shot() const;
  /// Throws Mismatch if a byte beside a tensor was written.
  void require_intact() const;

 private:
  void make(Draw& draw);
};

/// Takes some of these steps, with other gradients each, and calls what reads schedules and penalties. Throws
/// Mismatch if a byte beside a tensor was written.
void take_steps(Draw& draw, Side& side, int steps);

/// Names the first difference of two dicts; "" if all their bits are equal.
std::string difference(const StateDict& a, const StateDict& b);
std::string difference(const Shot& a, const Shot& b);

/// Returns the rules as a state dict has them.
std::vector<SavedGroup> saved(const std::vector<Rule>& rules);

}  // namespace onepass::fuzz
