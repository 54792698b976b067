// rprop.hpp - Rprop without backtracking in float64.
#pragma once

#include "reference/shared.hpp"

namespace reference {

/// Igel and Huesken 2000, algorithm 4 (iRprop-): with q = g_(t-1) g_t, the step size is
/// min(D eta+, D_max) if q > 0, max(D eta-, D_min) if q < 0, and then g_t counts as 0; else D.
/// w_(t+1) = w_t - sign(g_t) D_t. As in torch.optim.Rprop, D_1 = lr, and D is always kept between both
/// bounds. States: prev = g_(t-1), step_size = D.
struct Rprop {
  Shared shared;
  double minus, plus, smallest, largest;

  explicit Rprop(const Settings& settings)
      : shared(settings),
        minus(settings.number("eta_minus")),
        plus(settings.number("eta_plus")),
        smallest(settings.number("step_size_min")),
        largest(settings.number("step_size_max")) {}

  static std::vector<Option> options() {
    const Settings plain{{"lr", 0.01}};
    const Settings narrow = plain.with("step_size_min", 0.005).with("step_size_max", 0.02);
    return {{"plain", plain}, {"narrow", narrow.with("eta_minus", 0.7).with("eta_plus", 1.5)}};
  }

  /// A prev below this may count as 0 where the gradient, before decay is added, is 0: docs/storage.md.
  static constexpr double kSettles = 0x1p-100;

  /// Returns the next step size after multiplication by a factor. Bounds never move two numbers apart.
  [[nodiscard]] Number sized(Number size, double factor) const {
    const Number next = size * Number(factor);
    return rounded(std::min(std::max(next.value, smallest), largest), next.excess());
  }

  void step(std::int64_t t, std::span<Element> elements, std::span<const Number> gradients) const {
    for_each_element(elements, gradients, [&](Element& e, Number g) { step_element(t, e, g); });
  }

  void step_element(std::int64_t t, Element& e, Number gradient) const {
    const Number g = shared.gradient(e.p, gradient);
    const Number before = e.state[0];
    const Number old_size = t == 1 ? Number(shared.lr) : e.state[1];
    const double q = Shared::sign(before.value) * Shared::sign(g.value);  // as a product, it may underflow
    Number kept = q < 0.0 ? Number(0.0) : g;
    Number size = sized(old_size, q > 0.0 ? plus : q < 0.0 ? minus : 1.0);
    Number move = Number(Shared::sign(kept.value)) * size;
    const bool may_have_settled = gradient.value == 0.0 && std::fabs(before.value) < kSettles;
    const bool is_open = may_change_sign(before) || may_change_sign(g) || may_have_settled;
    if (is_open && !std::isnan(g.value)) {
      const Number longest = sized(old_size, plus);
      move = covering(covering(move, longest), -longest);
      kept = covering(Number(0.0), g);
      size = covering(covering(size, longest), sized(old_size, minus));
    }
    e.state[0] = kept;
    e.state[1] = size;
    e.p = shared.moved(e.p, move);
  }
};

}  // namespace reference
