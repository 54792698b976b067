// adan.hpp - Adan in float64.
#pragma once

#include "reference/shared.hpp"

namespace reference {

/// Xie et al. 2022, algorithm 1, with one minus the paper's betas: m = b1 m + (1 - b1) g_t,
/// d = b2 d + (1 - b2) (g_t - g_(t-1)), n = b3 n + (1 - b3) (g_t + b2 (g_t - g_(t-1)))^2, where the
/// difference is 0 on the first step. theta loses lr (m^ + b2 d^) / (sqrt(n^) + eps), x^ = x / (1 - b^t).
/// States: exp_avg, exp_avg_diff, exp_avg_sq, neg_pre_grad = -g.
struct Adan {
  Shared shared;
  double beta1, beta2, beta3, eps;

  explicit Adan(const Settings& settings)
      : shared(settings),
        beta1(settings.number("beta1")),
        beta2(settings.number("beta2")),
        beta3(settings.number("beta3")),
        eps(settings.number("eps")) {}

  static std::vector<Option> options() { return {{"plain", {{"lr", 0.002}}}}; }

  void step(std::int64_t t, std::span<Element> elements, std::span<const Number> gradients) const {
    const auto corrected = [t](double beta) { return Number(1.0 - std::pow(beta, static_cast<double>(t))); };
    const Number first = corrected(beta1), second = corrected(beta2), third = corrected(beta3);
    for_each_element(elements, gradients, [&](Element& e, Number gradient) {
      const Number g = shared.gradient(e.p, gradient);
      Number &m = e.state[0], &d = e.state[1], &n = e.state[2], &negative = e.state[3];
      const Number difference = t == 1 ? Number(0.0) : g + negative;
      const Number ahead = g + Number(beta2) * difference;
      m = average(m, g, 1.0 - beta1);
      d = average(d, difference, 1.0 - beta2);
      n = average(n, ahead * ahead, 1.0 - beta3);
      negative = -g;
      const Number both = m / first + Number(beta2) * d / second;
      e.p = shared.moved(e.p, Number(shared.lr) * (both / (sqrt(n / third) + Number(eps))));
    });
  }
};

}  // namespace reference
