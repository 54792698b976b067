// prodigy.hpp - Prodigy in float64.
#pragma once

#include "reference/shared.hpp"

namespace reference {

/// Mishchenko and Defazio 2023, algorithm 4, as prodigyopt has it: with q = d lr (times
/// sqrt(1 - b2^(k+1)) / (1 - b1^(k+1)) if it corrects), r = b3 r + (d / d0) q <g, x0 - x>;
/// s = b3 s + (d / d0) q g; d_hat = c r / |s|_1; m = b1 m + (1 - b1) d g; v = b2 v + (1 - b2) d^2 g^2;
/// x = x - q (m / (sqrt(v) + d' eps) + w x), with the next d'. States: exp_avg (m), exp_avg_sq (v), s, p0
/// (x0); scalars: d, d_max, d_numerator (r), k.
struct Prodigy {
  Shared shared;
  double beta1, beta2, beta3, eps, d0, factor, growth;
  bool corrects, safeguards;

  explicit Prodigy(const Settings& settings)
      : shared(settings),
        beta1(settings.number("beta1")),
        beta2(settings.number("beta2")),
        beta3(settings.number("beta3")),
        eps(settings.number("eps")),
        d0(settings.number("d0")),
        factor(settings.number("d_coef")),
        growth(settings.number("growth_rate")),
        corrects(settings.flag("use_bias_correction")),
        safeguards(settings.flag("safeguard_warmup")) {
    if (beta3 == 0.0) beta3 = std::sqrt(beta2);
  }

  static std::vector<Option> options() {
    const Settings plain{{"d0", 1e-3}};
    return {{"plain", plain},
            {"corrected", plain.with("use_bias_correction", true).with("growth_rate", 1.02)},
            {"safeguarded", plain.with("safeguard_warmup", true).with("beta3", 0.9).with("lr", 0.5)}};
  }

  /// What all parameters share.
  struct Estimate {
    Number d, d_max, numerator;
    double k;
  };

  [[nodiscard]] Estimate estimate_of(std::span<const TensorStep> tensors) const {
    const Element* newest = nullptr;
    for (const TensorStep& one : tensors) {
      if (one.elements.empty()) continue;
      const Element& e = one.elements[0];
      if (newest == nullptr || e.scalar[3].value > newest->scalar[3].value) newest = &e;
    }
    if (newest == nullptr || newest->scalar[3].value == 0.0) return {d0, d0, 0.0, 0.0};
    return {newest->scalar[0], newest->scalar[1], newest->scalar[2], newest->scalar[3].value};
  }

  [[nodiscard]] Number rate_of(const Estimate& now) const {
    if (!corrects) return now.d * Number(shared.lr);
    const double root = std::sqrt(1.0 - std::pow(beta2, now.k + 1.0));
    return now.d * Number(shared.lr * root / (1.0 - std::pow(beta1, now.k + 1.0)));
  }

  /// Moves the states of an element, and adds its terms to both sums.
  void gather(const Estimate& now, Element& e, Number gradient, Number& numerator, Number& total) const {
    const Number g = shared.gradient(e.p, gradient), x = now.d * g, ratio = now.d / Number(d0);
    Number &m = e.state[0], &v = e.state[1], &s = e.state[2], &start = e.state[3];
    numerator = numerator + ratio * rate_of(now) * (g * (start - e.p));
    s = Number(beta3) * s + ratio * (safeguards ? now.d : rate_of(now)) * g;
    total = total + abs(s);
    m = average(m, x, 1.0 - beta1);
    v = average(v, x * x, 1.0 - beta2);
  }

  [[nodiscard]] Estimate moved(const Estimate& now, Number numerator, Number total) const {
    const Number found = Number(factor) * numerator / total;
    Estimate next{now.d, now.d_max, numerator, now.k + 1.0};
    if (now.d.value == d0 && found.value > d0) next.d = found;
    if (found.value > next.d_max.value) next.d_max = found;
    if (!std::isinf(growth)) next.d = next.d * Number(growth);
    if (std::isinf(growth) || next.d_max.value < next.d.value) next.d = next.d_max;
    return next;
  }

  void step(std::span<const TensorStep> tensors) const {
    const Estimate now = estimate_of(tensors);
    Number numerator = Number(beta3) * now.numerator, total(0.0);
    for (const TensorStep& one : tensors) {
      for (std::size_t i = 0; i < one.elements.size(); ++i) {
        Element& e = one.elements[i];
        if (one.t == 1) e.state[3] = e.p;
        if (shared.lr != 0.0) gather(now, e, one.gradients[i], numerator, total);
      }
    }
    if (total.value == 0.0) return;
    const Estimate next = moved(now, numerator, total);
    for (const TensorStep& one : tensors) {
      for (Element& e : one.elements) move(now, next, e);
    }
  }

  void move(const Estimate& now, const Estimate& next, Element& e) const {
    Number u = e.state[0] / (sqrt(e.state[1]) + next.d * Number(eps));
    if (shared.form != Shared::kCoupled && shared.weight_decay != 0.0)
      u = u + Number(shared.weight_decay) * e.p;
    e.p = shared.moved_by(e.p, rate_of(now) * u);
    e.scalar[0] = next.d;
    e.scalar[1] = next.d_max;
    e.scalar[2] = next.numerator;
    e.scalar[3] = next.k;
  }
};

}  // namespace reference
