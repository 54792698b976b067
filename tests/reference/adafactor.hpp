// adafactor.hpp - Adafactor in float64.
#pragma once

#include "reference/matrices.hpp"

namespace reference {

/// Shazeer and Stern 2018, algorithms 4 to 6: with w = t^c, R = (1 - w) R + w mean_j G^2 (+ eps1), likewise C
/// over i, V = R C / mean(R), or V = (1 - w) V + w G^2 of a vector; U = G / sqrt(V);
/// U^ = U / max(1, RMS(U) / d); a = max(eps2, RMS(X)) min(lr, 1 / sqrt(t)); X = X - a U^.
/// torch.optim.Adafactor divides by max(mean(R), eps1) and by max(sqrt(V), eps1) in place of adding eps1 to
/// G^2. States: exp_avg, with momentum; then variance of a vector, or row_var (R) and col_var (C) of a
/// matrix.
struct Adafactor {
  Shared shared;
  double exponent, eps1, eps2, d, beta1;
  bool relative, warms_up, scales, adds_eps1;

  explicit Adafactor(const Settings& settings)
      : shared(settings),
        exponent(settings.number("beta2_decay")),
        eps1(settings.number("eps1")),
        eps2(settings.number("eps2")),
        d(settings.number("d")),
        beta1(settings.number("beta1")),
        relative(settings.flag("relative_step")),
        warms_up(settings.flag("warmup_init")),
        scales(settings.flag("scale_parameter")),
        adds_eps1(settings.flag("adds_eps1")) {}

  static std::vector<Option> options() {
    const Settings plain{{"lr", 0.01}};
    const Settings fixed = Settings{{"lr", 1e-3}, {"eps1", 1e-30}}
                               .with("relative_step", false)
                               .with("scale_parameter", false)
                               .with("adds_eps1", true);
    return {{"plain", plain},
            {"fixed", fixed},
            {"unclipped", fixed.with("d", 0.0).with("beta2_decay", -0.5)},
            {"momentum", plain.with("beta1", 0.9)}};
  }

  [[nodiscard]] std::vector<Number> squares(const TensorStep& tensor, const std::vector<Number>& g) const {
    const std::size_t first = beta1 != 0.0 ? 1 : 0;
    const double weight = std::pow(static_cast<double>(tensor.t), exponent);
    if (tensor.rows != 0)
      return factored(tensor, g, first, first + 1, adds_eps1 ? eps1 : 0.0, weight, adds_eps1 ? 0.0 : eps1);
    std::vector<Number> all;
    for (std::size_t i = 0; i < g.size(); ++i) {
      Number& v = tensor.elements[i].state[first];
      v = average(v, g[i] * g[i] + Number(adds_eps1 ? eps1 : 0.0), weight);
      all.push_back(v);
    }
    return all;
  }

  [[nodiscard]] Number rate(const TensorStep& tensor) const {
    const auto t = static_cast<double>(tensor.t);
    double rate = warms_up ? 1e-6 * t : shared.lr;
    if (relative) rate = std::min(rate, 1.0 / std::sqrt(t));
    if (!scales) return rate;
    std::vector<Number> parameters;
    for (const Element& e : tensor.elements) parameters.push_back(e.p);
    return Number(rate) * max(root_mean_square(parameters, eps2), Number(eps2));
  }

  void step(const TensorStep& tensor) const {
    if (tensor.elements.empty()) return;
    std::vector<Number> g, u;
    for (std::size_t i = 0; i < tensor.elements.size(); ++i)
      g.push_back(shared.gradient(tensor.elements[i].p, tensor.gradients[i]));
    const Number now = rate(tensor);
    const std::vector<Number> v = squares(tensor, g);
    for (std::size_t i = 0; i < g.size(); ++i)
      u.push_back(g[i] / max(sqrt(v[i]), Number(adds_eps1 ? 0.0 : eps1)));
    const Number clip = d > 0.0 ? max(Number(1.0), root_mean_square(u, d) / Number(d)) : Number(1.0);
    for (std::size_t i = 0; i < g.size(); ++i) {
      Element& e = tensor.elements[i];
      Number step = now / clip * u[i];
      if (beta1 != 0.0) step = e.state[0] = average(e.state[0], step, 1.0 - beta1);
      e.p = shared.moved(e.p, step);
    }
  }
};

}  // namespace reference
