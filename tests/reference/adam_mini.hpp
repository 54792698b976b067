// adam_mini.hpp - Adam-mini in float64.
#pragma once

#include "reference/matrices.hpp"

namespace reference {

/// Zhang et al. 2024, algorithm 1: m = b1 m + (1 - b1) g; v_b = b2 v_b + (1 - b2) mean(g_b^2) for each block
/// b; p = p - lr (m / (1 - b1^t)) / (sqrt(v_b / (1 - b2^t)) + eps). Blocks are the rows of a matrix, and the
/// elements of a vector. States: exp_avg (m); then exp_avg_sq of a vector, or vmean (v) of a matrix.
struct AdamMini {
  Shared shared;
  double beta1, beta2, eps;

  explicit AdamMini(const Settings& settings)
      : shared(settings),
        beta1(settings.number("beta1")),
        beta2(settings.number("beta2")),
        eps(settings.number("eps")) {}

  static std::vector<Option> options() { return {{"plain", {{"lr", 0.002}}}}; }

  void step(const TensorStep& tensor) const {
    const auto t = static_cast<double>(tensor.t);
    std::vector<Number> g, squares;
    for (std::size_t i = 0; i < tensor.elements.size(); ++i) {
      g.push_back(shared.gradient(tensor.elements[i].p, tensor.gradients[i]));
      squares.push_back(g[i] * g[i]);
    }
    if (tensor.rows != 0) squares = Matrices(tensor).over_rows(squares);
    for (std::size_t i = 0; i < g.size(); ++i) {
      Element& e = tensor.elements[i];
      Number &m = e.state[0], &v = e.state[1];
      m = average(m, g[i], 1.0 - beta1);
      v = average(v, squares[i], 1.0 - beta2);
      const Number root = sqrt(v / Number(1.0 - std::pow(beta2, t))) + Number(eps);
      e.p = shared.moved(e.p, Number(shared.lr) * (m / Number(1.0 - std::pow(beta1, t)) / root));
    }
  }
};

}  // namespace reference
