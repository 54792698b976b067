// ademamix.hpp - AdEMAMix in float64.
#pragma once

#include "reference/shared.hpp"

namespace reference {

/// Pagliardini et al. 2024, algorithm 1: m1 = b1 m1 + (1 - b1) g, m2 = b3(t) m2 + (1 - b3(t)) g,
/// v = b2 v + (1 - b2) g^2, theta = theta - lr (m1^ + alpha(t) m2) / (sqrt(v^) + eps), where m1 and v have
/// Adam's bias corrections and m2 has none. alpha(t) = min(t alpha / T, alpha), and
/// b3(t) = exp(ln b1 ln b3 / ((1 - t / T) ln b3 + t / T ln b1)) until T, then b3. For b1 = 0 the limit is
/// b3(t) = b3^(T / t). States: exp_avg_fast if b1 > 0, exp_avg_slow, exp_avg_sq.
struct AdEMAMix {
  Shared shared;
  double beta1, beta2, beta3, alpha, alpha_warmup, beta3_warmup, eps;

  explicit AdEMAMix(const Settings& settings)
      : shared(settings),
        beta1(settings.number("beta1")),
        beta2(settings.number("beta2")),
        beta3(settings.number("beta3")),
        alpha(settings.number("alpha")),
        alpha_warmup(settings.number("alpha_warmup")),
        beta3_warmup(settings.number("beta3_warmup")),
        eps(settings.number("eps")) {}

  static std::vector<Option> options() {
    const Settings warmup{{"lr", 0.002}, {"alpha_warmup", 60.0}, {"beta3_warmup", 90.0}};
    return {{"plain", {{"lr", 0.002}}}, {"warmup", warmup}, {"slow_alone", warmup.with("beta1", 0.0)}};
  }

  [[nodiscard]] double beta3_at(double t) const {
    if (beta3_warmup <= t) return beta3;
    if (beta1 == 0.0) return std::pow(beta3, beta3_warmup / t);
    const double part = t / beta3_warmup, fast = std::log(beta1), slow = std::log(beta3);
    return std::exp(fast * slow / ((1.0 - part) * slow + part * fast));
  }
  [[nodiscard]] double alpha_at(double t) const {
    return alpha_warmup <= t ? alpha : alpha * t / alpha_warmup;
  }

  void step(std::int64_t t, std::span<Element> elements, std::span<const Number> gradients) const {
    const auto time = static_cast<double>(t);
    const double first = 1.0 - std::pow(beta1, time), second = 1.0 - std::pow(beta2, time);
    const double slow_weight = 1.0 - beta3_at(time), share = alpha_at(time);
    for_each_element(elements, gradients, [&](Element& e, Number gradient) {
      const Number g = shared.gradient(e.p, gradient);
      Number fast = g;
      if (beta1 != 0.0) fast = e.state[0] = average(e.state[0], g, 1.0 - beta1);
      Number& slow = e.state[beta1 != 0.0 ? 1 : 0];
      Number& v = e.state[beta1 != 0.0 ? 2 : 1];
      slow = average(slow, g, slow_weight);
      v = average(v, g * g, 1.0 - beta2);
      const Number both = fast / Number(first) + Number(share) * slow;
      e.p = shared.moved(e.p, Number(shared.lr) * (both / (sqrt(v / Number(second)) + Number(eps))));
    });
  }
};

}  // namespace reference
