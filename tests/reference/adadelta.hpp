// adadelta.hpp - Adadelta in float64.
#pragma once

#include "reference/shared.hpp"

namespace reference {

/// Zeiler 2012, algorithm 1: E[g^2]_t = rho E[g^2]_(t-1) + (1 - rho) g_t^2,
/// D_t = RMS[D]_(t-1) / RMS[g]_t g_t with RMS[y] = sqrt(E[y^2] + eps), and
/// E[D^2]_t = rho E[D^2]_(t-1) + (1 - rho) D_t^2. x_(t+1) = x_t - lr D_t; the paper has lr = 1.
/// States: square_avg = E[g^2], acc_delta = E[D^2].
struct Adadelta {
  Shared shared;
  double rho, eps;

  explicit Adadelta(const Settings& settings)
      : shared(settings), rho(settings.number("rho")), eps(settings.number("eps")) {}

  static std::vector<Option> options() {
    const Settings plain{{"lr", 0.5}, {"rho", 0.95}, {"eps", 1e-4}};
    return {{"plain", plain}, {"defaults", {}}};
  }

  void step(std::int64_t /*t*/, std::span<Element> elements, std::span<const Number> gradients) const {
    const auto rms = [&](Number mean_square) { return sqrt(mean_square + Number(eps)); };
    for_each_element(elements, gradients, [&](Element& e, Number gradient) {
      const Number g = shared.gradient(e.p, gradient);
      Number& of_gradients = e.state[0];
      Number& of_steps = e.state[1];
      of_gradients = average(of_gradients, g * g, 1.0 - rho);
      const Number d = rms(of_steps) / rms(of_gradients) * g;
      of_steps = average(of_steps, d * d, 1.0 - rho);
      e.p = shared.moved(e.p, Number(shared.lr) * d);
    });
  }
};

}  // namespace reference
