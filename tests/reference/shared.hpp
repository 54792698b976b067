// shared.hpp - what every optimizer does around its formula: maximize, and two kinds of weight decay.
#pragma once

#include <cstddef>
#include <cstdint>
#include <span>

#include "reference/number.hpp"

namespace reference {

/// Weight decay as in torch.optim: coupled is the gradient of an L2 penalty (torch.optim.Adam), decoupled
/// shrinks the parameter by lr * weight_decay (torch.optim.AdamW, Loshchilov and Hutter 2019, algorithm 2).
/// The sign of maximize is applied before the L2 term, as in torch.optim.
struct Shared {
  double lr = 0.0;
  double weight_decay = 0.0;
  bool decoupled = false;
  bool maximize = false;

  [[nodiscard]] Number gradient(Number p, Number g) const {
    const Number signed_gradient = maximize ? -g : g;
    if (decoupled || weight_decay == 0.0) return signed_gradient;
    return signed_gradient + Number(weight_decay) * p;
  }

  [[nodiscard]] Number moved(Number p, Number step) const {
    if (!decoupled) return p - step;
    return p * Number(1.0 - lr * weight_decay) - step;
  }
};

/// One element: the parameter and up to three states, in the order that the optimizer's header gives.
struct Element {
  Number p;
  Number state[3];
};

/// One step of every element of a tensor: each gradient is exact, as the caller's float32 is.
template <class StepOfElement>
void for_each_element(std::span<Element> elements, std::span<const float> gradients, StepOfElement step) {
  for (std::size_t i = 0; i < elements.size(); ++i) step(elements[i], Number(gradients[i]));
}

}  // namespace reference
