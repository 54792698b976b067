// mars.hpp - MARS-AdamW in float64.
#pragma once

#include "reference/shared.hpp"

namespace reference {

/// Yuan et al. 2024, algorithm 2, approximate: c = g_t + gamma b1 / (1 - b1) (g_t - g_(t-1)), where the
/// difference is 0 at first; c~ = c / |c| if |c| > 1; m = b1 m + (1 - b1) c~, v = b2 v + (1 - b2) c~^2,
/// x = x - lr (m^ / (sqrt(v^) + eps) + wd x). States: exp_avg (m), exp_avg_sq (v), last_grad.
struct MARS {
  Shared shared;
  double beta1, beta2, eps, gamma;

  explicit MARS(const Settings& settings)
      : shared(settings),
        beta1(settings.number("beta1")),
        beta2(settings.number("beta2")),
        eps(settings.number("eps")),
        gamma(settings.number("gamma")) {}

  static std::vector<Option> options() {
    return {{"plain", {{"lr", 0.002}}}, {"strong", {{"lr", 0.002}, {"gamma", 0.5}}}};
  }

  static Number scale_of(const SumOfSquares& squares) {
    if (std::isinf(squares.value())) return 0.0;
    return squares.value() > 1.0 ? Number(1.0) / squares.norm() : Number(1.0);
  }

  void step(std::int64_t t, std::span<Element> elements, std::span<const Number> gradients) const {
    std::vector<Number> corrected;
    SumOfSquares of_corrected;
    for (std::size_t i = 0; i < elements.size(); ++i) {
      const Number g = shared.gradient(elements[i].p, gradients[i]);
      Number& last = elements[i].state[2];
      const Number difference = t == 1 ? Number(0.0) : g - last;
      corrected.push_back(g + Number(gamma * beta1 / (1.0 - beta1)) * difference);
      of_corrected.add(corrected.back());
      last = g;
    }
    const Number scale = scale_of(of_corrected);
    const Number correction1(1.0 - std::pow(beta1, static_cast<double>(t)));
    const Number correction2(1.0 - std::pow(beta2, static_cast<double>(t)));
    for (std::size_t i = 0; i < elements.size(); ++i) {
      Element& e = elements[i];
      const Number c = scale * corrected[i];
      Number &m = e.state[0], &v = e.state[1];
      m = average(m, c, 1.0 - beta1);
      v = average(v, c * c, 1.0 - beta2);
      const Number direction = m / correction1 / (sqrt(v / correction2) + Number(eps));
      e.p = shared.moved(e.p, Number(shared.lr) * direction);
    }
  }
};

}  // namespace reference
