// schedule_free_sgd.hpp - Schedule-Free SGD, and the weights that it shares with Schedule-Free AdamW.
#pragma once

#include <array>
#include <cstdint>

#include "onepass/arithmetic/math.hpp"
#include "onepass/rule/concept.hpp"

namespace onepass {

/// The weights of Schedule-Free averaging, which follow from the learning rates so far. t is the parameter's
/// own step number, starting at 1.
///
///     lr_t       = lr * min(1, t / warmup_steps)
///     lr_max     = max(lr_max, lr_t)
///     w          = t^r * lr_max^weight_lr_power
///     weight_sum = weight_sum + w
///     c          = w / weight_sum                0 if both are 0
struct ScheduleFreeWeights {
  double lr, warmup_steps, r, weight_lr_power;

  /// What they carry from step to step.
  struct Scalars {
    double weight_sum, lr_max;
  };
  static constexpr std::array kScalars{"weight_sum", "lr_max"};

  /// The weights of one step.
  struct OfStep {
    double lr;      ///< lr_t
    double weight;  ///< c
  };
  [[nodiscard]] ONEPASS_LANE OfStep advance(std::int64_t step, Scalars& carried) const {
    const auto t = static_cast<double>(step);
    const double lr_t = t < warmup_steps ? lr * (t / warmup_steps) : lr;
    carried.lr_max = lane::max(carried.lr_max, lr_t);
    const double w = lane::pow(t, r) * lane::pow(carried.lr_max, weight_lr_power);
    carried.weight_sum = carried.weight_sum + w;
    return {lr_t, carried.weight_sum > 0.0 ? w / carried.weight_sum : 0.0};
  }

  /// Lists the hyperparameters of the weights.
  template <class Rule>
  static void describe(auto& list) {
    list("warmup_steps", &Rule::warmup_steps, rule::kNonnegative,
         "Steps of a parameter in which its learning rate rises to lr.");
    list("r", &Rule::r, rule::kNonnegative, "Power of the step number in the weights of the average.");
    list("weight_lr_power", &Rule::weight_lr_power, rule::kNonnegative,
         "Power of the largest learning rate in the weights of the average.");
  }

  /// The coefficients that both rules have.
  struct Coefficients {
    float direct;  ///< lr_t * (1 - momentum * (1 - c)): the direction's share in the step of p
    float pull;    ///< c
    float keep;    ///< 1 - c
    float push;    ///< lr_t * momentum: the direction's share in the step of z_minus_y
    float decay;   ///< weight_decay, unless it is coupled
  };
  /// Forms them, rounded once. `decay`: the rule's own.
  static ONEPASS_LANE Coefficients coefficients(const OfStep& step, double momentum, double decay) {
    return {.direct = static_cast<float>(step.lr * (1.0 - momentum * (1.0 - step.weight))),
            .pull = static_cast<float>(step.weight),
            .keep = static_cast<float>(1.0 - step.weight),
            .push = static_cast<float>(step.lr * momentum),
            .decay = static_cast<float>(decay)};
  }

  /// Moves z - y and returns the update of y, given the direction u without decay. A decay that is off adds
  /// nothing: 0 * Inf would be NaN.
  static ONEPASS_LANE float move(const Coefficients& k, float y, float u, float& z_minus_y) {
    const float direction = k.decay != 0.0f ? lane::fma(k.decay, y, u) : u;
    const float update = lane::fma(k.direct, direction, -(k.pull * z_minus_y));
    z_minus_y = k.keep * lane::fma(-k.push, direction, z_minus_y);
    return update;
  }
};

/// Schedule-Free SGD, elementwise: three sequences in place of a learning rate schedule. Gradients are taken
/// at y, which is the parameter during training; z takes plain steps; x, the weighted mean of all z, is the
/// point to evaluate the model at.
///
///     u = g + weight_decay * y
///     y = (1 - c) * y + c * z - lr_t * (1 - momentum * (1 - c)) * u
///     z = z - lr_t * u
///     x = y - (1 / momentum - 1) * (z - y)
///
/// lr_t and c are those of ScheduleFreeWeights. The state is the difference z_minus_y, which starts at 0, and
/// not z, which would start as a copy of p:
///
///     p         = p - (lr_t * (1 - momentum * (1 - c)) * u - c * z_minus_y)
///     z_minus_y = (1 - c) * (z_minus_y - lr_t * momentum * u)
///
/// These are the same sequences without differences of numbers that are nearly equal. g is the gradient after
/// sign (maximize) and coupled weight decay; see rule::Around. The decay of the other mode, decoupled, is the
/// one in u, which reaches y and z; this rule has no other.
///
/// Source: Defazio et al. 2024, arXiv 2405.15682, eq. 2 to 4, with the warm-up and the weights of the
/// authors' package. Deviations: counts and sums are each parameter's own, where the package has one for each
/// group.
///
/// Use: runs whose length is not known: no schedule, and a good model at every step.
///
/// Shapes: p, g and z_minus_y have equal numel; the rule combines elements with equal index. The arithmetic
/// is in float32; z_minus_y is float32 in every format, since its average runs over all steps. Inf and NaN in
/// a gradient propagate into z_minus_y and p.
///
/// describe() has units and ranges of the hyperparameters.
struct ScheduleFreeSGD {
  double lr = 1.0;
  double momentum = 0.9;
  double warmup_steps = 0.0;
  double r = 0.0;
  double weight_lr_power = 2.0;
  double weight_decay = 0.0;
  double l1 = 0.0;
  WeightDecay weight_decay_mode = WeightDecay::decoupled;
  L1 l1_mode = L1::proximal;
  bool maximize = false;

  static constexpr const char* kName = "ScheduleFreeSGD";
  static constexpr bool kOwnsDecay = true;
  /// Lists the hyperparameters; rule::describe_shared() lists the others.
  static void describe(auto& list) {
    list("lr", &ScheduleFreeSGD::lr, rule::kNonnegative,
         "Learning rate: parameter units per unit of gradient.");
    list("momentum", &ScheduleFreeSGD::momentum, rule::kUnitInterval,
         "Share of x in y; the share of z is the rest.");
    ScheduleFreeWeights::describe<ScheduleFreeSGD>(list);
  }

  using Scalars = ScheduleFreeWeights::Scalars;
  static constexpr auto kScalars = ScheduleFreeWeights::kScalars;
  using Coefficients = ScheduleFreeWeights::Coefficients;

  /// The only variant.
  struct Plain {
    static constexpr std::array kStates{"z_minus_y"};
    static constexpr unsigned kFloat32 = 0b1;
    static ONEPASS_LANE float update(const Coefficients& k, float p, float g, float& z_minus_y) {
      return ScheduleFreeWeights::move(k, p, g, z_minus_y);
    }
  };

  using Variants = VariantList<Plain>;
  /// Index of the variant that this rule needs.
  [[nodiscard]] unsigned variant() const { return 0; }

  /// Computes the coefficients of a tensor's step in double and rounds each of them once.
  [[nodiscard]] ONEPASS_LANE Coefficients prepare(std::int64_t step, Scalars& carried) const {
    const ScheduleFreeWeights weights{lr, warmup_steps, r, weight_lr_power};
    return ScheduleFreeWeights::coefficients(weights.advance(step, carried), momentum,
                                             weight_decay_mode == WeightDecay::coupled ? 0.0 : weight_decay);
  }

  /// Throws InvalidArgument for a decay that the rule has not, and without momentum: z_minus_y would stay 0,
  /// and x could not be told from it.
  void check() const {
    rule::require_own_decay(kName, weight_decay_mode);
    if (momentum == 0.0) rule::fail(kName, "momentum must be above 0");
  }
};

}  // namespace onepass
