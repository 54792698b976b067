// schedule_free_sgd.hpp - Schedule-Free SGD in float64, and the sequences that Schedule-Free AdamW shares.
#pragma once

#include <algorithm>
#include <iterator>
#include <vector>

#include "reference/shared.hpp"

namespace reference {

/// Defazio et al. 2024, in the form of the authors' package, at a constant lr: lr_t rises over the warm-up,
/// w_t = t^r lr_t^power (lr_t rises, so it is the largest so far), c_t = w_t / (w_1 + ... + w_t),
/// y = (1 - c) y + c z - lr_t (1 - b (1 - c)) u, z = z - lr_t u. State: z - y.
struct ScheduleFree {
  double lr, momentum, warmup_steps, r, power;
  mutable std::vector<double> sums{0.0};  ///< w_1 + ... + w_t by t; grows as it is asked.

  ScheduleFree(const Settings& settings, const char* momentum)
      : lr(settings.number("lr")),
        momentum(settings.number(momentum)),
        warmup_steps(settings.number("warmup_steps")),
        r(settings.number("r")),
        power(settings.number("weight_lr_power")) {}

  [[nodiscard]] double rate(std::int64_t t) const {
    return warmup_steps > 0 ? lr * std::min(1.0, static_cast<double>(t) / warmup_steps) : lr;
  }
  [[nodiscard]] double weight(std::int64_t t) const {
    return std::pow(static_cast<double>(t), r) * std::pow(rate(t), power);
  }
  [[nodiscard]] double share(std::int64_t t) const {
    while (std::ssize(sums) <= t) sums.push_back(sums.back() + weight(std::ssize(sums)));
    const double sum = sums[static_cast<std::size_t>(t)];
    return sum > 0.0 ? weight(t) / sum : 0.0;
  }

  /// Returns what y loses, and moves z - y.
  [[nodiscard]] Number loss(double rate, double c, Number u, Number& difference) const {
    const Number lost = Number(rate * (1.0 - momentum * (1.0 - c))) * u - Number(c) * difference;
    // z moves by -rate u and y by -lost; what is left of their sum is (1 - c) of both terms.
    difference = Number(1.0 - c) * (difference - Number(rate * momentum) * u);
    return lost;
  }
};

/// u = g + weight_decay y.
struct ScheduleFreeSGD {
  Shared shared;
  ScheduleFree sequences;

  explicit ScheduleFreeSGD(const Settings& settings) : shared(settings), sequences(settings, "momentum") {}

  static std::vector<Option> options() {
    const Settings plain{{"lr", 0.05}};
    return {{"plain", plain},
            {"warmup", plain.with("warmup_steps", 20.0).with("r", 1.0)},
            {"equal_weights", plain.with("weight_lr_power", 0.0).with("momentum", 0.95)}};
  }

  void step(std::int64_t t, std::span<Element> elements, std::span<const Number> gradients) const {
    const double rate = sequences.rate(t), c = sequences.share(t);
    for_each_element(elements, gradients, [&](Element& e, Number gradient) {
      Number u = shared.gradient(e.p, gradient);
      if (shared.form != Shared::kCoupled) u = u + Number(shared.weight_decay) * e.p;
      e.p = shared.moved_by(e.p, sequences.loss(rate, c, u, e.state[0]));
    });
  }
};

}  // namespace reference
