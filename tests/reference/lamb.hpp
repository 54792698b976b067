// lamb.hpp - LAMB in float64.
#pragma once

#include "reference/shared.hpp"

namespace reference {

/// You et al. 2020, algorithm 2: m = b1 m + (1 - b1) g, or b1 m + g; v = b2 v + (1 - b2) g^2;
/// r = (m / (1 - b1^t)) / (sqrt(v / (1 - b2^t)) + eps); x = x - lr |x| / |r + w x| (r + w x), where the ratio
/// is 1 if a norm is 0. States: exp_avg (m), exp_avg_sq (v).
struct LAMB {
  Shared shared;
  double beta1, beta2, eps;
  bool corrects, averages, adapts, clips;

  explicit LAMB(const Settings& settings)
      : shared(settings),
        beta1(settings.number("beta1")),
        beta2(settings.number("beta2")),
        eps(settings.number("eps")),
        corrects(settings.flag("bias_correction")),
        averages(settings.flag("grad_averaging")),
        adapts(settings.flag("always_adapt") || shared.weight_decay != 0.0),
        clips(settings.flag("trust_clip")) {}

  static std::vector<Option> options() {
    const Settings plain{{"lr", 0.01}};
    return {{"plain", plain},
            {"clipped", plain.with("trust_clip", true)},
            {"uncorrected", plain.with("bias_correction", false).with("grad_averaging", false)}};
  }

  [[nodiscard]] Number direction(Element& e, Number gradient, double correction1, double correction2) const {
    const Number g = shared.gradient(e.p, gradient);
    Number &m = e.state[0], &v = e.state[1];
    m = averages ? average(m, g, 1.0 - beta1) : Number(beta1) * m + g;
    v = average(v, g * g, 1.0 - beta2);
    const Number r = m / Number(correction1) / (sqrt(v / Number(correction2)) + Number(eps));
    const bool decays = shared.form != Shared::kCoupled && shared.weight_decay != 0.0;
    return decays ? r + Number(shared.weight_decay) * e.p : r;
  }

  void step(std::int64_t t, std::span<Element> elements, std::span<const Number> gradients) const {
    const auto power = static_cast<double>(t);
    const double correction1 = corrects ? 1.0 - std::pow(beta1, power) : 1.0;
    const double correction2 = corrects ? 1.0 - std::pow(beta2, power) : 1.0;
    std::vector<Number> directions;
    SumOfSquares of_param, of_direction;
    for (std::size_t i = 0; i < elements.size(); ++i) {
      of_param.add(elements[i].p);
      directions.push_back(direction(elements[i], gradients[i], correction1, correction2));
      of_direction.add(directions.back());
    }
    Number trust(1.0);
    if (adapts && of_param.value() > 0.0 && of_direction.value() > 0.0)
      trust = of_param.norm() / of_direction.norm();
    if (clips) trust = min(trust, Number(1.0));
    for (std::size_t i = 0; i < elements.size(); ++i) {
      elements[i].p = shared.moved_by(elements[i].p, Number(shared.lr) * (trust * directions[i]));
    }
  }
};

}  // namespace reference
