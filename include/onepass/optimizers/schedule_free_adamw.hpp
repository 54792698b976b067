// schedule_free_adamw.hpp - Schedule-Free AdamW.
#pragma once

#include "onepass/optimizers/schedule_free_sgd.hpp"

namespace onepass {

/// Schedule-Free AdamW, elementwise: the sequences of ScheduleFreeSGD, with the gradient divided by the root
/// of its second moment. t is the parameter's own step number, starting at 1.
///
///     exp_avg_sq = beta2 * exp_avg_sq + (1 - beta2) * g^2
///     u          = g / (sqrt(exp_avg_sq / (1 - beta2^t)) + eps) + weight_decay * y
///
/// y, z and x follow from u as in ScheduleFreeSGD, with beta1 in place of momentum. The states are z_minus_y
/// and exp_avg_sq; there is no first moment. Evaluate the model at x = p - (1 / beta1 - 1) * z_minus_y.
///
/// g is the gradient after sign (maximize) and coupled weight decay; see rule::Around. The decay of the other
/// mode, decoupled, is the one in u; this rule has no other.
///
/// Source: Defazio et al. 2024, arXiv 2405.15682, algorithm 1. Deviations: as ScheduleFreeSGD.
///
/// Use: as ScheduleFreeSGD, where AdamW would be used.
///
/// Shapes: p, g and the states have equal numel; the rule combines elements with equal index. The arithmetic
/// is in float32; z_minus_y is float32 in every format.
///
/// Inf and NaN in a gradient propagate into the states and p. The square of a gradient beyond 1.8e19
/// overflows float32: exp_avg_sq becomes Inf, and NaN one step later.
///
/// describe() has units and ranges of the hyperparameters.
struct ScheduleFreeAdamW {
  double lr = 2.5e-3;
  double beta1 = 0.9;
  double beta2 = 0.999;
  double eps = 1e-8;
  double warmup_steps = 0.0;
  double r = 0.0;
  double weight_lr_power = 2.0;
  double weight_decay = 0.0;
  double l1 = 0.0;
  WeightDecay weight_decay_mode = WeightDecay::decoupled;
  L1 l1_mode = L1::proximal;
  bool maximize = false;

  static constexpr const char* kName = "ScheduleFreeAdamW";
  static constexpr bool kOwnsDecay = true;
  /// Lists the hyperparameters; rule::describe_shared() lists the others.
  static void describe(auto& list) {
    list("lr", &ScheduleFreeAdamW::lr, rule::kNonnegative, "Learning rate: parameter units per step.");
    list("beta1", &ScheduleFreeAdamW::beta1, rule::kUnitInterval,
         "Share of x in y; the share of z is the rest.");
    list("beta2", &ScheduleFreeAdamW::beta2, rule::kUnitInterval, "Share of exp_avg_sq kept per step.");
    list("eps", &ScheduleFreeAdamW::eps, rule::kEps,
         "Gradient units, outside the root. With 0, a gradient of 0 gives 0 / 0 = NaN.");
    ScheduleFreeWeights::describe<ScheduleFreeAdamW>(list);
  }

  using Scalars = ScheduleFreeWeights::Scalars;
  static constexpr auto kScalars = ScheduleFreeWeights::kScalars;
  /// The coefficients of one step; see prepare().
  struct Coefficients {
    ScheduleFreeWeights::Coefficients weights;
    float one_minus_beta2;
    float inverse_root;  ///< 1 / sqrt(1 - beta2^t)
    float eps;
  };

  /// The only variant.
  struct Plain {
    static constexpr std::array kStates{"z_minus_y", "exp_avg_sq"};
    static constexpr std::array<const char*, 2> kDecays{nullptr, "beta2"};
    static constexpr unsigned kNonnegative = 0b10;
    static constexpr unsigned kFloat32 = 0b01;
    static ONEPASS_LANE float update(const Coefficients& k, float p, float g, float& z_minus_y,
                                     float& exp_avg_sq) {
      exp_avg_sq = lane::lerp(exp_avg_sq, g * g, k.one_minus_beta2);
      const float u = g / lane::fma(lane::sqrt(exp_avg_sq), k.inverse_root, k.eps);
      return ScheduleFreeWeights::move(k.weights, p, u, z_minus_y);
    }
  };

  using Variants = VariantList<Plain>;
  /// Index of the variant that this rule needs.
  [[nodiscard]] unsigned variant() const { return 0; }

  /// Computes the coefficients of a tensor's step in double and rounds each of them once.
  [[nodiscard]] ONEPASS_LANE Coefficients prepare(std::int64_t step, Scalars& carried) const {
    const ScheduleFreeWeights weights{lr, warmup_steps, r, weight_lr_power};
    const double decay = weight_decay_mode == WeightDecay::coupled ? 0.0 : weight_decay;
    const double bias_correction2 = 1.0 - lane::power(beta2, step);
    return {.weights = ScheduleFreeWeights::coefficients(weights.advance(step, carried), beta1, decay),
            .one_minus_beta2 = static_cast<float>(1.0 - beta2),
            .inverse_root = static_cast<float>(1.0 / lane::sqrt(bias_correction2)),
            .eps = static_cast<float>(eps)};
  }

  /// Throws InvalidArgument for a decay that the rule has not, and without beta1: z_minus_y would stay 0, and
  /// x could not be told from it.
  void check() const {
    rule::require_own_decay(kName, weight_decay_mode);
    if (beta1 == 0.0) rule::fail(kName, "beta1 must be above 0");
  }
};

}  // namespace onepass
