// asgd.hpp - averaged stochastic gradient descent.
#pragma once

#include <array>
#include <cstdint>

#include "onepass/arithmetic/math.hpp"
#include "onepass/rule/concept.hpp"

namespace onepass {

/// Averaged stochastic gradient descent, elementwise: SGD with a falling learning rate, and the mean of the
/// parameters from step t0 on. t is the parameter's own step number, starting at 1.
///
///     p  = p - (lambd * eta * p + eta * g)
///     ax = p                                            while t <= t0 + 2
///     ax = ax + (p - ax) / (t - 1 - t0)                 later
///     eta = lr / (1 + lambd * lr * t)^alpha             for the next step; lr in the first
///
/// g is the gradient after sign (maximize) and coupled weight decay; see rule::Around. eta is a scalar: a
/// changed lr acts from the step after the next, as in PyTorch. Decoupled weight decay subtracts
/// lr * weight_decay * p besides; this rule has no other. ax is a state. It averages the parameter before a
/// proximal L1 penalty shrinks it, and before storage rounds it.
///
/// Source: Polyak and Juditsky 1992, in PyTorch's form (torch.optim.ASGD). Deviations: none.
///
/// Use: convex problems, and recipes that average parameters.
///
/// Shapes: p, g and ax have equal numel; the rule combines elements with equal index. The arithmetic is in
/// float32; ax is float32 in every format. Inf and NaN in a gradient propagate into p and ax.
///
/// describe() has units and ranges of the hyperparameters.
struct ASGD {
  double lr = 1e-2;
  double lambd = 1e-4;
  double alpha = 0.75;
  double t0 = 1e6;
  double weight_decay = 0.0;
  double l1 = 0.0;
  WeightDecay weight_decay_mode = WeightDecay::coupled;
  L1 l1_mode = L1::proximal;
  bool maximize = false;

  static constexpr const char* kName = "ASGD";
  static constexpr bool kOwnsDecay = true;
  /// Lists the hyperparameters; rule::describe_shared() lists the others.
  static void describe(auto& list) {
    list("lr", &ASGD::lr, rule::kNonnegative, "Learning rate: parameter units per unit of gradient.");
    list("lambd", &ASGD::lambd, rule::kNonnegative, "Share of p removed per step, times eta.");
    list("alpha", &ASGD::alpha, rule::kNonnegative, "Power by which eta falls.");
    list("t0", &ASGD::t0, rule::kNonnegative, "Step at which the averaging starts.");
  }

  /// The learning rate of the next step.
  struct Scalars {
    double eta;
  };
  static constexpr std::array kScalars{"eta"};

  /// The coefficients of one step; see prepare().
  struct Coefficients {
    float eta;
    float decay;        ///< Share of p that it loses.
    float weight;       ///< Weight of p in ax.
    lane::Flag starts;  ///< Sets ax = p: the weight is 1.
  };

  /// The only variant.
  struct Plain {
    static constexpr std::array kStates{"ax"};
    static constexpr unsigned kFloat32 = 0b1;
    static ONEPASS_LANE float update(const Coefficients& k, float p, float g, float& ax) {
      const float step = k.eta * g;
      const float update = k.decay != 0.0f ? lane::fma(k.decay, p, step) : step;
      const float moved = p - update;
      ax = lane::select(k.starts, moved, lane::lerp(ax, moved, k.weight));
      return update;
    }
  };

  using Variants = VariantList<Plain>;
  /// Index of the variant that this rule needs.
  [[nodiscard]] unsigned variant() const { return 0; }

  /// Computes the coefficients of a tensor's step in double and rounds each of them once.
  [[nodiscard]] ONEPASS_LANE Coefficients prepare(std::int64_t step, Scalars& carried) const {
    const auto t = static_cast<double>(step);
    const double eta = step == 1 ? lr : carried.eta;
    carried.eta = lr / lane::pow(1.0 + lambd * lr * t, alpha);
    const double since = t - 1.0 - t0;
    const double decoupled = weight_decay_mode == WeightDecay::coupled ? 0.0 : lr * weight_decay;
    return {.eta = static_cast<float>(eta),
            .decay = static_cast<float>(lambd * eta + decoupled),
            .weight = static_cast<float>(since > 1.0 ? 1.0 / since : 1.0),
            .starts = since > 1.0 ? 0u : 1u};
  }

  /// Throws InvalidArgument for a decay that the rule has not.
  void check() const { rule::require_own_decay(kName, weight_decay_mode); }
};

}  // namespace onepass
