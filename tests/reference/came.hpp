// came.hpp - CAME in float64.
#pragma once

#include "reference/matrices.hpp"

namespace reference {

/// Luo et al. 2023, algorithm 2: r = b2 r + (1 - b2) mean_j(g^2 + e1), likewise c over i, v = r c / mean(r);
/// u = g / sqrt(v), u^ = u / max(1, RMS(u) / d); m = b1 m + (1 - b1) u^; U = (u^ - m)^2; R and C are averages
/// of U + e2 as r and c, with b3, and S = R C / mean(R); x = x - lr m / sqrt(S). A vector has v, the average
/// of g^2 + e1, and S = 1. States: exp_avg (m); then exp_avg_sq (v) of a vector, or r, c, R and C of a
/// matrix.
struct CAME {
  Shared shared;
  double beta1, beta2, beta3, eps1, eps2, d;

  explicit CAME(const Settings& settings)
      : shared(settings),
        beta1(settings.number("beta1")),
        beta2(settings.number("beta2")),
        beta3(settings.number("beta3")),
        eps1(settings.number("eps1")),
        eps2(settings.number("eps2")),
        d(settings.number("clip_threshold")) {}

  static std::vector<Option> options() {
    const Settings plain{{"lr", 1e-3}};
    return {{"plain", plain}, {"loose", plain.with("clip_threshold", 0.0).with("eps2", 1e-3)}};
  }

  [[nodiscard]] std::vector<Number> squares(const TensorStep& tensor, const std::vector<Number>& g) const {
    if (tensor.rows != 0) return factored(tensor, g, 1, 2, eps1, 1.0 - beta2, 0.0);
    std::vector<Number> all;
    for (std::size_t i = 0; i < g.size(); ++i) {
      Number& v = tensor.elements[i].state[1];
      v = average(v, g[i] * g[i] + Number(eps1), 1.0 - beta2);
      all.push_back(v);
    }
    return all;
  }

  void step(const TensorStep& tensor) const {
    if (tensor.elements.empty()) return;
    std::vector<Number> g, u, rest;
    for (std::size_t i = 0; i < tensor.elements.size(); ++i)
      g.push_back(shared.gradient(tensor.elements[i].p, tensor.gradients[i]));
    const std::vector<Number> v = squares(tensor, g);
    for (std::size_t i = 0; i < g.size(); ++i) u.push_back(g[i] / sqrt(v[i]));
    const Number clip = d > 0.0 ? max(Number(1.0), root_mean_square(u, d) / Number(d)) : Number(1.0);
    for (std::size_t i = 0; i < g.size(); ++i) {
      Number& m = tensor.elements[i].state[0];
      m = average(m, u[i] / clip, 1.0 - beta1);
      rest.push_back(u[i] / clip - m);
    }
    std::vector<Number> s;
    if (tensor.rows != 0) s = factored(tensor, rest, 3, 4, eps2, 1.0 - beta3, 0.0);
    for (std::size_t i = 0; i < g.size(); ++i) {
      Element& e = tensor.elements[i];
      const Number step = Number(shared.lr) * e.state[0];
      e.p = shared.moved(e.p, s.empty() ? step : step / sqrt(s[i]));
    }
  }
};

}  // namespace reference
