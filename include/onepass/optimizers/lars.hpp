// lars.hpp - LARS: SGD with a learning rate for each tensor, which follows the tensor's norm.
#pragma once

#include <array>
#include <cstdint>

#include "onepass/rule/concept.hpp"

namespace onepass {

/// LARS.
///
///     trust = trust_coeff * ||p|| / (||g|| + weight_decay * ||p|| + eps)
///     d = trust * (g + weight_decay * p)
///     momentum_buffer = momentum * momentum_buffer + (1 - dampening) * d     d on the first step
///     p = p - lr * momentum_buffer
///
/// The norms are Euclidean, over the tensor. trust is 1 if ||p|| or ||g|| is 0, and for a tensor without
/// weight decay, unless always_adapt: a group of biases and norms with weight_decay 0 takes steps of SGD.
/// trust_clip takes min(trust / lr, 1) in place of trust, so that no tensor has a rate above lr (LARC).
/// nesterov takes d + momentum * momentum_buffer in place of momentum_buffer in the last line. g is the
/// gradient after sign (maximize) and coupled weight decay; see rule::Around. The decay of the other mode,
/// decoupled, is the one in d; this rule has no other.
///
/// Source: You, Gitman and Ginsburg 2017, arXiv 1708.03888, algorithm 1; always_adapt, trust_clip and the
/// defaults are those of timm, but for momentum, which is the paper's. Deviations: lr stays outside the
/// momentum, as in timm and in PyTorch's SGD, where the paper's buffer holds steps with their rates.
///
/// Use: convolutional networks with batches of thousands, and self-supervised vision.
///
/// Shapes: p, g and momentum_buffer have equal numel, and the norms run over all of it. The arithmetic is in
/// float32, that of the norms is exact (rule/sums.hpp); Storage says how p and momentum_buffer are stored. A
/// step passes over p and g twice.
///
/// NaN in a gradient propagates into its element, whose parameter is NaN from then on: the norms are NaN too,
/// and trust is 1. An infinite gradient makes trust 0 in its step, so that its element becomes NaN and all
/// others decay their momentum alone. An infinite parameter makes trust infinite or NaN, and with it the
/// tensor.
///
/// describe() has units and ranges of the hyperparameters.
struct LARS {
  double lr = 1.0;
  double momentum = 0.9;
  double dampening = 0.0;
  double trust_coeff = 1e-3;
  double eps = 1e-8;
  double weight_decay = 0.0;
  double l1 = 0.0;
  WeightDecay weight_decay_mode = WeightDecay::decoupled;
  L1 l1_mode = L1::proximal;
  bool nesterov = false;
  bool always_adapt = false;
  bool trust_clip = false;
  bool maximize = false;

  static constexpr const char* kName = "LARS";
  static constexpr bool kOwnsDecay = true;
  static constexpr int kSums = 2;
  /// Lists the hyperparameters; rule::describe_shared() lists the others.
  static void describe(auto& list) {
    list("lr", &LARS::lr, rule::kNonnegative, "Learning rate, before trust scales it.");
    list("momentum", &LARS::momentum, rule::kUnitInterval, "Share of momentum_buffer kept per step.");
    list("dampening", &LARS::dampening, rule::kFinite, "The step joins momentum_buffer times 1 - dampening.");
    list("trust_coeff", &LARS::trust_coeff, rule::kNonnegative,
         "Share of ||p|| that a step of rate 1 moves.");
    list("eps", &LARS::eps, rule::kEps, "Gradient units, beside the norms.");
    list("nesterov", &LARS::nesterov, "Looks ahead by one more step of momentum.");
    list("always_adapt", &LARS::always_adapt, "Scales tensors without weight decay by trust too.");
    list("trust_clip", &LARS::trust_clip, "Limits the rate of each tensor to lr.");
  }

  /// The coefficients of one step; see prepare() and finish().
  struct Coefficients {
    float lr, momentum, one_minus_dampening;
    float trust;
    float decay;        ///< weight_decay, unless it is coupled.
    lane::Flag starts;  ///< The first step, whose d is the buffer.
    lane::Flag nesterov;
  };

  /// The only variant.
  struct Plain {
    static constexpr std::array kStates{"momentum_buffer"};
    static constexpr std::array kDecays{"momentum"};
    static constexpr unsigned kMeasured = rule::kParam | rule::kGrad;
    static ONEPASS_LANE void measure(const Coefficients& /*k*/, float p, float g, float /*momentum_buffer*/,
                                     float (&terms)[kSums]) {
      terms[0] = p;
      terms[1] = g;
    }
    /// A decay that is off adds nothing: 0 * Inf would be NaN.
    static ONEPASS_LANE float update(const Coefficients& k, float p, float g, float& momentum_buffer) {
      const float d = k.trust * (k.decay != 0.0f ? lane::fma(k.decay, p, g) : g);
      momentum_buffer =
          lane::select(k.starts, d, lane::fma(k.momentum, momentum_buffer, k.one_minus_dampening * d));
      return k.lr * lane::select(k.nesterov, lane::fma(k.momentum, momentum_buffer, d), momentum_buffer);
    }
  };

  using Variants = VariantList<Plain>;
  /// Index of the variant that this rule needs.
  [[nodiscard]] unsigned variant() const { return 0; }

  /// Computes the coefficients of a tensor's step in double and rounds each of them once.
  [[nodiscard]] ONEPASS_LANE Coefficients prepare(std::int64_t step) const {
    return {.lr = static_cast<float>(lr),
            .momentum = static_cast<float>(momentum),
            .one_minus_dampening = static_cast<float>(1.0 - dampening),
            .trust = 1.0f,
            .decay = static_cast<float>(own_decay()),
            .starts = step == 1 ? 1u : 0u,
            .nesterov = nesterov ? 1u : 0u};
  }

  /// Computes trust, given the squares of p and g.
  ONEPASS_LANE void finish(std::int64_t /*step*/, const rule::Sums<kSums>& sums, Coefficients& k) const {
    const double of_param = sums.norm(0), of_grad = sums.norm(1);
    const bool adapts = weight_decay != 0.0 || always_adapt;
    if (!adapts || !(of_param > 0.0) || !(of_grad > 0.0)) return;
    const double trust = trust_coeff * of_param / (of_grad + own_decay() * of_param + eps);
    k.trust = static_cast<float>(!trust_clip ? trust : trust < lr ? trust / lr : 1.0);
  }

  /// Throws InvalidArgument for a decay that the rule has not, and for nesterov without a momentum or with
  /// dampening.
  void check() const {
    rule::require_own_decay(kName, weight_decay_mode);
    if (nesterov && (momentum == 0.0 || dampening != 0.0)) {
      rule::fail(kName, "nesterov needs a momentum above 0 and a dampening of 0");
    }
  }

  /// Lists the presets.
  static void presets(auto& list) {
    list("larc", larc(), "LARC limits the rate of each tensor to lr; timm makes it by the name larc.");
  }
  /// timm.optim.create_optimizer_v2(..., opt='larc'). Source: timm 1.0.31.
  static constexpr LARS larc() { return {.trust_clip = true}; }

 private:
  [[nodiscard]] ONEPASS_LANE double own_decay() const {
    return weight_decay_mode == WeightDecay::coupled ? 0.0 : weight_decay;
  }
};

}  // namespace onepass
