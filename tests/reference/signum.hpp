// signum.hpp - Signum and signSGD in float64.
#pragma once

#include "reference/shared.hpp"

namespace reference {

/// Bernstein et al. 2018, algorithms 1 and 2, for one worker: m_t = beta m_(t-1) + (1 - beta) g_t and
/// x_t = x_(t-1) - delta sign(m_t); with beta = 0, sign(g_t). Nesterov as in torch.optim.SGD: m_t is
/// replaced by beta m_t + (1 - beta) g_t. States: momentum_buffer, if momentum is not 0.
struct Signum {
  Shared shared;
  double momentum;
  bool nesterov;

  explicit Signum(const Settings& settings)
      : shared(settings), momentum(settings.number("momentum")), nesterov(settings.flag("nesterov")) {}

  static std::vector<Option> options() {
    const Settings momentum{{"lr", 0.01}, {"momentum", 0.9}};
    return {{"momentum", momentum},
            {"nesterov", momentum.with("nesterov", true)},
            {"sign_sgd", momentum.with("momentum", 0.0)}};
  }

  void step(std::int64_t /*t*/, std::span<Element> elements, std::span<const Number> gradients) const {
    for_each_element(elements, gradients, [&](Element& e, Number gradient) {
      const Number g = shared.gradient(e.p, gradient);
      Number direction = g;
      if (momentum != 0.0) {
        Number& m = e.state[0];
        m = average(m, g, 1.0 - momentum);
        direction = nesterov ? average(m, g, 1.0 - momentum) : m;
      }
      e.p = shared.moved(e.p, Number(shared.lr) * sign(direction));
    });
  }
};

}  // namespace reference
