// one_element.hpp - an optimizer for one element, for results that you can compute by hand.
#pragma once

#include <vector>

#include "onepass/onepass.hpp"

namespace onepass::test {

/// An optimizer for the parameter "p", which has one element on the CPU.
template <class Rule>
class OneElement {
 public:
  explicit OneElement(const Rule& rule, float start = 0.0f)
      : value_{start}, optimizer_(rule, std::vector<Parameter>{{"p", std::span(value_), std::span(grad_)}}) {}

  /// Takes one step with this gradient and returns the new parameter.
  float step(float gradient) {
    grad_[0] = gradient;
    optimizer_.step();
    return value_[0];
  }
  void set_gradient(float gradient) { grad_[0] = gradient; }
  [[nodiscard]] float gradient() const { return grad_[0]; }
  [[nodiscard]] float value() const { return value_[0]; }
  float state(const char* name) { return *static_cast<const float*>(optimizer_.state("p", name).data); }
  Optimizer& optimizer() { return optimizer_; }

 private:
  std::vector<float> value_;
  std::vector<float> grad_{0.0f};
  Optimizer optimizer_;
};

}  // namespace onepass::test
