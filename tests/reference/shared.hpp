// shared.hpp - the parts that all optimizers share: maximize, weight decay, L1, and caution.
#pragma once

#include <cstddef>
#include <cstdint>
#include <span>
#include <vector>

#include "reference/number.hpp"
#include "reference/settings.hpp"

namespace reference {

struct Element;

/// Coupled weight decay adds the gradient of an L2 penalty (torch.optim.Adam). Every other form lets the
/// parameter lose a share, d, of itself (Form). The loss joins the step, so that an infinite parameter
/// becomes NaN, as with coupled decay. The sign of maximize is applied before the L2 term, as in torch.optim.
/// The L1 penalty is l1 * sum |p|. Either its subgradient, 0 at p = 0, is added to the gradient, or its
/// proximal operator with the step size lr (Parikh and Boyd 2014, section 6.5.2: the soft threshold) acts on
/// the moved p. Caution (Liang et al. 2024, arXiv 2411.16085) leaves out steps whose sign is not the
/// gradient's.
struct Shared {
  /// decoupled: p - (d p + s), d = lr * weight_decay (Loshchilov and Hutter 2019, in torch.optim.AdamW's
  /// form). after: (1 - d) (p - s). proximal: (p - s) / (1 + d) (Adan). corrected: decoupled with the rate lr
  /// / lr_max, which is 1 without a schedule (Defazio 2025). cautious: decoupled where s p >= 0 (Chen et al.
  /// 2025).
  enum Form { kCoupled, kDecoupled, kAfter, kProximal, kCorrected, kCautious };

  double lr, weight_decay, l1;
  Form form;
  bool proximal, maximize, masks, rescales;

  explicit Shared(const Settings& settings)
      : lr(settings.number("lr")),
        weight_decay(settings.number("weight_decay")),
        l1(settings.number("l1")),
        form(static_cast<Form>(settings.choice(
            "weight_decay_mode", {"coupled", "decoupled", "after", "proximal", "corrected", "cautious"}))),
        proximal(settings.choice("l1_mode", {"subgradient", "proximal"}) == 1),
        maximize(settings.flag("maximize")),
        masks(settings.has("caution") && caution(settings) != 0),
        rescales(masks && caution(settings) == 2) {}

  [[nodiscard]] Number gradient(Number p, Number g) const {
    Number all = maximize ? -g : g;
    if (form == kCoupled && weight_decay != 0.0) all = all + Number(weight_decay) * p;
    if (!proximal && l1 != 0.0) all = all + Number(l1) * Number(sign(p.value));
    return all;
  }

  [[nodiscard]] Number moved(Number p, Number step) const {
    return moved_by(p, loss(p, step, lr * weight_decay));
  }
  /// The same for a rule that owns its decay, given all that the parameter loses.
  [[nodiscard]] Number moved_by(Number p, Number lost) const {
    return proximal && l1 != 0.0 ? soft_threshold(p - lost, lr * l1) : p - lost;
  }
  /// Moves all elements of a tensor, for a rule with caution. update(e, g) moves the states of an element and
  /// returns what its parameter would lose without it.
  template <class Update>
  void move_all(std::span<Element> elements, std::span<const Number> gradients, Update update) const;

  /// What the parameter loses by the step and the decay.
  [[nodiscard]] Number loss(Number p, Number step, double d) const {
    if (form == kCoupled || weight_decay == 0.0) return step;
    if (form == kAfter) return Number(d) * (p - step) + step;
    if (form == kProximal) return Number(d / (1.0 + d)) * (p - step) + step;
    const Number whole = Number(d) * p + step;
    if (form != kCautious) return whole;
    const bool decays = !(step.value * p.value < 0.0);
    return may_change_sign(step) ? covering(decays ? whole : step, decays ? step : whole)
           : decays              ? whole
                                 : step;
  }

  /// Returns `kept` if the signs of a step and its gradient agree, else 0.
  static Number where_they_agree(Number step, Number g, Number kept) {
    const bool agree = sign(step.value) * sign(g.value) > 0.0;
    const Number none(0.0);
    return may_change_sign(step) || may_change_sign(g) ? covering(agree ? kept : none, agree ? none : kept)
           : agree                                     ? kept
                                                       : none;
  }
  static Number masked(Number step, Number g) {
    return std::isnan(step.value) ? step : where_they_agree(step, g, step);
  }
  static std::size_t caution(const Settings& settings) {
    return settings.choice("caution", {"none", "masked", "rescaled"});
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

/// Most states that an element may have, and most scalars that a tensor may have.
inline constexpr std::size_t kMostStates = 5;
inline constexpr std::size_t kMostScalars = 4;

/// One element: the parameter and its states, in the order that the optimizer's header gives, then those of
/// its row and column, and the scalars of its tensor. The latter are the same in each element that shares
/// them.
struct Element {
  Number p;
  Number state[kMostStates];
  Number scalar[kMostScalars];

  /// Makes the error of the float32 run so far an error of the next step's arguments.
  void carry() {
    p = p.carried();
    for (Number& one : state) one = one.carried();
    for (Number& one : scalar) one = one.carried();
  }
};

/// A step of one tensor: its number, counted from 1, the elements that it changes, and their gradients.
struct TensorStep {
  std::int64_t t;
  std::span<Element> elements;
  std::span<const Number> gradients;
  std::size_t rows = 0;  ///< Of each matrix that the tensor consists of; 0: it is a vector.
  std::size_t columns = 0;
};

/// Applies one step to every element of a tensor.
template <class StepOfElement>
void for_each_element(std::span<Element> elements, std::span<const Number> gradients, StepOfElement step) {
  for (std::size_t i = 0; i < elements.size(); ++i) step(elements[i], gradients[i]);
}

/// The rescaled form divides by the share of the elements that stay, or by 1e-3 if it is less.
template <class Update>
void Shared::move_all(std::span<Element> elements, std::span<const Number> gradients, Update update) const {
  std::vector<Number> seen, steps;
  Number kept(0.0);
  for (std::size_t i = 0; i < elements.size(); ++i) {
    seen.push_back(gradient(elements[i].p, gradients[i]));
    steps.push_back(update(elements[i], seen[i]));
    kept = kept + where_they_agree(steps[i], seen[i], Number(1.0));
  }
  const Number share = max(kept / Number(static_cast<double>(elements.size())), Number(1e-3));
  for (std::size_t i = 0; i < elements.size(); ++i) {
    const Number step = masks ? masked(steps[i], seen[i]) : steps[i];
    elements[i].p = moved(elements[i].p, rescales ? step / share : step);
  }
}

}  // namespace reference
