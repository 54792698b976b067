// adam.hpp - Adam and AMSGrad in float64.
#pragma once

#include "reference/shared.hpp"

namespace reference {

/// Kingma and Ba 2015, algorithm 1: m = b1 m + (1 - b1) g, v = b2 v + (1 - b2) g^2, m^ = m / (1 - b1^t),
/// v^ = v / (1 - b2^t), theta = theta - lr m^ / (sqrt(v^) + eps). AMSGrad as in torch.optim.Adam:
/// x = max(x, v) of the uncorrected v, and x^ = x / (1 - b2^t) replaces v^.
/// States: exp_avg, exp_avg_sq, then max_exp_avg_sq if amsgrad.
struct Adam {
  Shared shared;
  double beta1, beta2, eps;
  bool amsgrad;

  explicit Adam(const Settings& settings)
      : shared(settings),
        beta1(settings.number("beta1")),
        beta2(settings.number("beta2")),
        eps(settings.number("eps")),
        amsgrad(settings.flag("amsgrad")) {}

  static std::vector<Option> options() {
    return {{"plain", {{"lr", 0.002}}}, {"amsgrad", {{"lr", 0.002}, {"amsgrad", true}}}};
  }

  /// The two bias corrections, 1 - beta^t. They are the same for a whole tensor.
  struct Corrections {
    double first, second;
  };
  [[nodiscard]] Corrections corrections(std::int64_t t) const {
    const auto power = static_cast<double>(t);
    return {1.0 - std::pow(beta1, power), 1.0 - std::pow(beta2, power)};
  }

  [[nodiscard]] Number direction(Corrections c, Element& e, Number g) const {
    Number& m = e.state[0];
    Number& v = e.state[1];
    m = average(m, g, 1.0 - beta1);
    v = average(v, g * g, 1.0 - beta2);
    Number second = v;
    if (amsgrad) {
      e.state[2] = max(e.state[2], v);
      second = e.state[2];
    }
    return (m / Number(c.first)) / (sqrt(second / Number(c.second)) + Number(eps));
  }

  void step(std::int64_t t, std::span<Element> elements, std::span<const Number> gradients) const {
    const Corrections c = corrections(t);
    shared.move_all(elements, gradients,
                    [&](Element& e, Number g) { return Number(shared.lr) * direction(c, e, g); });
  }
};

}  // namespace reference
