// lamb.hpp - LAMB: Adam's direction, as long as the tensor it moves.
#pragma once

#include <array>
#include <cstdint>

#include "onepass/rule/concept.hpp"

namespace onepass {

/// LAMB. t is the parameter's own step number, starting at 1.
///
///     exp_avg    = beta1 * exp_avg + (1 - beta1) * g             + g if not grad_averaging
///     exp_avg_sq = beta2 * exp_avg_sq + (1 - beta2) * g^2
///     m_hat = exp_avg / (1 - beta1^t)                            exp_avg if not bias_correction
///     v_hat = exp_avg_sq / (1 - beta2^t)                         the same
///     u = m_hat / (sqrt(v_hat) + eps) + weight_decay * p
///     trust = ||p|| / ||u||                                      1 if either is 0
///     p = p - lr * trust * u
///
/// The norms are Euclidean, over the tensor. trust is 1 for a tensor without weight decay, unless
/// always_adapt: a group of biases and norms with weight_decay 0 takes Adam's steps. trust_clip limits trust
/// to 1. g is the gradient after sign (maximize) and coupled weight decay; see rule::Around. The decay of
/// the other mode, decoupled, is the one in u; this rule has no other.
///
/// Source: You et al. 2020, arXiv 1904.00962v5, algorithm 2, with the identity for phi; grad_averaging,
/// trust by decay and the defaults are those of apex and timm. Deviations: the paper scales tensors without
/// decay too, as always_adapt does. apex and timm clip the norm of all gradients to 1: set clip_norm for
/// that.
///
/// Use: large batches, where one learning rate must suit all layers.
///
/// Shapes: p, g and the states have equal numel, and the norms run over all of it. The arithmetic is in
/// float32, that of the norms is exact (rule/sums.hpp); Storage says how p and the states are stored. A step
/// passes over the tensor twice.
///
/// NaN or Inf in a gradient makes its element NaN; the norms are NaN from then on, and trust is 1 for the
/// rest of the tensor. An infinite parameter makes trust infinite or NaN, and with it the tensor. The square
/// of a gradient beyond 1.8e19 overflows float32: exp_avg_sq becomes Inf, and NaN one step later.
///
/// describe() has units and ranges of the hyperparameters.
struct LAMB {
  double lr = 1e-3;
  double beta1 = 0.9;
  double beta2 = 0.999;
  double eps = 1e-6;
  double weight_decay = 0.01;
  double l1 = 0.0;
  WeightDecay weight_decay_mode = WeightDecay::decoupled;
  L1 l1_mode = L1::proximal;
  bool bias_correction = true;
  bool grad_averaging = true;
  bool always_adapt = false;
  bool trust_clip = false;
  bool maximize = false;

  static constexpr const char* kName = "LAMB";
  static constexpr bool kOwnsDecay = true;
  static constexpr int kSums = 2;
  /// Lists the hyperparameters; rule::describe_shared() lists the others.
  static void describe(auto& list) {
    list("lr", &LAMB::lr, rule::kNonnegative, "Learning rate: share of the tensor's norm per step.");
    list("beta1", &LAMB::beta1, rule::kUnitInterval, "Share of exp_avg kept per step.");
    list("beta2", &LAMB::beta2, rule::kUnitInterval, "Share of exp_avg_sq kept per step.");
    list("eps", &LAMB::eps, rule::kEps,
         "Gradient units, outside the root. With 0, a gradient of 0 gives 0 / 0 = NaN.");
    list("bias_correction", &LAMB::bias_correction, "Corrects the moments for their start at 0.");
    list("grad_averaging", &LAMB::grad_averaging,
         "Gives the gradient the weight 1 - beta1 in exp_avg, in place of 1.");
    list("always_adapt", &LAMB::always_adapt, "Scales tensors without weight decay by trust too.");
    list("trust_clip", &LAMB::trust_clip, "Limits trust to 1.");
  }

  /// The coefficients of one step; see prepare() and finish().
  struct Coefficients {
    float step_size;  ///< lr * trust
    float beta1, one_minus_beta1, one_minus_beta2;
    float inverse_correction;  ///< 1 / (1 - beta1^t)
    float inverse_root;        ///< 1 / sqrt(1 - beta2^t)
    float eps;
    float decay;  ///< weight_decay, unless it is coupled.
    lane::Flag averages;
  };

  /// Moves the moments and returns u. A decay that is off adds nothing: 0 * Inf would be NaN.
  static ONEPASS_LANE float direction(const Coefficients& k, float p, float g, float& exp_avg,
                                      float& exp_avg_sq) {
    exp_avg =
        lane::select(k.averages, lane::lerp(exp_avg, g, k.one_minus_beta1), lane::fma(k.beta1, exp_avg, g));
    exp_avg_sq = lane::lerp(exp_avg_sq, g * g, k.one_minus_beta2);
    const float root = lane::fma(lane::sqrt(exp_avg_sq), k.inverse_root, k.eps);
    const float u = exp_avg * k.inverse_correction / root;
    return k.decay != 0.0f ? lane::fma(k.decay, p, u) : u;
  }

  /// The only variant.
  struct Plain {
    static constexpr std::array kStates{"exp_avg", "exp_avg_sq"};
    static constexpr std::array kDecays{"beta1", "beta2"};
    static constexpr unsigned kNonnegative = 0b10;
    static constexpr unsigned kMeasured = rule::kParam | rule::kGrad | rule::kState<0> | rule::kState<1>;
    static ONEPASS_LANE void measure(const Coefficients& k, float p, float g, float exp_avg, float exp_avg_sq,
                                     float (&terms)[kSums]) {
      terms[0] = p;
      terms[1] = direction(k, p, g, exp_avg, exp_avg_sq);
    }
    static ONEPASS_LANE float update(const Coefficients& k, float p, float g, float& exp_avg,
                                     float& exp_avg_sq) {
      return k.step_size * direction(k, p, g, exp_avg, exp_avg_sq);
    }
  };

  using Variants = VariantList<Plain>;
  /// Index of the variant that this rule needs.
  [[nodiscard]] unsigned variant() const { return 0; }

  /// Computes the coefficients of a tensor's step in double and rounds each of them once.
  [[nodiscard]] ONEPASS_LANE Coefficients prepare(std::int64_t step) const {
    const double correction1 = bias_correction ? 1.0 - lane::power(beta1, step) : 1.0;
    const double correction2 = bias_correction ? 1.0 - lane::power(beta2, step) : 1.0;
    const bool is_coupled = weight_decay_mode == WeightDecay::coupled;
    return {.step_size = static_cast<float>(lr),
            .beta1 = static_cast<float>(beta1),
            .one_minus_beta1 = static_cast<float>(1.0 - beta1),
            .one_minus_beta2 = static_cast<float>(1.0 - beta2),
            .inverse_correction = static_cast<float>(1.0 / correction1),
            .inverse_root = static_cast<float>(1.0 / lane::sqrt(correction2)),
            .eps = static_cast<float>(eps),
            .decay = is_coupled ? 0.0f : static_cast<float>(weight_decay),
            .averages = grad_averaging ? 1u : 0u};
  }

  /// Scales the step by trust, given the squares of p and u.
  ONEPASS_LANE void finish(std::int64_t /*step*/, const rule::Sums<kSums>& sums, Coefficients& k) const {
    if (weight_decay == 0.0 && !always_adapt) return;
    const double of_param = sums.norm(0), of_direction = sums.norm(1);
    const double ratio = of_param > 0.0 && of_direction > 0.0 ? of_param / of_direction : 1.0;
    k.step_size = static_cast<float>(lr * (trust_clip && ratio > 1.0 ? 1.0 : ratio));
  }

  /// Throws InvalidArgument for a decay that the rule has not.
  void check() const { rule::require_own_decay(kName, weight_decay_mode); }

  /// Lists the presets.
  static void presets(auto& list) {
    list("apex", apex(),
         "FusedLAMB of NVIDIA Apex and Lamb of timm have the defaults of this rule. Both clip the "
         "norm of all gradients to 1: set clip_norm for that.");
    list("nvlamb", nvlamb(),
         "NVLAMB, which is FusedLAMB of NVIDIA Apex with use_nvlamb, scales tensors without "
         "weight decay by trust too.");
    list("lambc", lambc(), "LAMBC limits trust to 1; timm makes it by the name lambc.");
    list("optax", optax(), "optax.lamb has no weight decay by default and scales every tensor by trust.");
  }
  /// apex.optimizers.FusedLAMB and timm.optim.Lamb. Source: apex 6424da3, csrc/multi_tensor_lamb.cu.
  static constexpr LAMB apex() { return {}; }
  /// apex.optimizers.FusedLAMB(..., use_nvlamb=True). Source: apex 6424da3, csrc/multi_tensor_lamb.cu.
  static constexpr LAMB nvlamb() { return {.always_adapt = true}; }
  /// timm.optim.create_optimizer_v2(..., opt='lambc'). Source: timm 1.0.31.
  static constexpr LAMB lambc() { return {.trust_clip = true}; }
  /// optax.lamb. Source: optax 0.2.8. optax has no default learning rate.
  static constexpr LAMB optax() { return {.weight_decay = 0.0, .always_adapt = true}; }
};

}  // namespace onepass
