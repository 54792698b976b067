// shared.hpp - the parts that all optimizers share: maximize, two kinds of weight decay, two kinds of L1.
#pragma once

#include <cstddef>
#include <cstdint>
#include <span>

#include "reference/number.hpp"
#include "reference/settings.hpp"

namespace reference {

/// Weight decay is that of torch.optim: coupled decay adds the gradient of an L2 penalty (torch.optim.Adam),
/// decoupled decay shrinks the parameter by lr * weight_decay (torch.optim.AdamW, Loshchilov and Hutter 2019,
/// algorithm 2): it joins the step, so that an infinite parameter becomes NaN, as with coupled decay. The
/// sign of maximize is applied before the L2 term, as in torch.optim. The L1 penalty is l1 * sum |p|. Either
/// its subgradient, 0 at p = 0, is added to the gradient, or its proximal operator with the step size lr
/// (Parikh and Boyd 2014, section 6.5.2: the soft threshold) acts on the moved p.
struct Shared {
  double lr, weight_decay, l1;
  bool decoupled, proximal, maximize;

  explicit Shared(const Settings& settings)
      : lr(settings.number("lr")),
        weight_decay(settings.number("weight_decay")),
        l1(settings.number("l1")),
        decoupled(settings.choice("weight_decay_mode", {"coupled", "decoupled"}) == 1),
        proximal(settings.choice("l1_mode", {"subgradient", "proximal"}) == 1),
        maximize(settings.flag("maximize")) {}

  [[nodiscard]] Number gradient(Number p, Number g) const {
    Number all = maximize ? -g : g;
    if (!decoupled && weight_decay != 0.0) all = all + Number(weight_decay) * p;
    if (!proximal && l1 != 0.0) all = all + Number(l1) * Number(sign(p.value));
    return all;
  }

  [[nodiscard]] Number moved(Number p, Number step) const {
    const Number loss = decoupled && weight_decay != 0.0 ? Number(lr * weight_decay) * p + step : step;
    return proximal && l1 != 0.0 ? soft_threshold(p - loss, lr * l1) : p - loss;
  }

  static double sign(double x) { return x > 0 ? 1.0 : x < 0 ? -1.0 : x; }  // NaN for NaN

  /// Returns argmin over x of threshold * |x| + (x - v)^2 / 2. It never moves two numbers further apart.
  static Number soft_threshold(Number v, double threshold) {
    double value = v.value;  // NaN stays NaN
    if (std::fabs(v.value) <= threshold) value = std::copysign(0.0, v.value);
    if (v.value > threshold) value = v.value - threshold;
    if (v.value < -threshold) value = v.value + threshold;
    return {value, v.magnitude + threshold};
  }
};

/// Most states that an element may have.
inline constexpr std::size_t kMostStates = 4;

/// One element: the parameter and its states, in the order that the optimizer's header gives.
struct Element {
  Number p;
  Number state[kMostStates];
};

/// Applies one step to every element of a tensor.
template <class StepOfElement>
void for_each_element(std::span<Element> elements, std::span<const Number> gradients, StepOfElement step) {
  for (std::size_t i = 0; i < elements.size(); ++i) step(elements[i], gradients[i]);
}

}  // namespace reference
