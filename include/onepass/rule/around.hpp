// around.hpp - the operations that every optimizer shares and that are applied before and after its rule.
#pragma once

#include <cstdint>

#include "onepass/arithmetic/bits.hpp"
#include "onepass/arithmetic/lane.hpp"
#include "onepass/rule/hyperparameter.hpp"

namespace onepass {

/// The effect of weight decay.
enum class WeightDecay : unsigned {
  coupled,    ///< L2: adds weight_decay * p to the gradient before the rule (torch.optim.Adam).
  decoupled,  ///< Subtracts lr * weight_decay * p from the parameter (torch.optim.AdamW).
  after,      ///< As decoupled, but the moved parameter decays, and not the old one (bitsandbytes).
  proximal,   ///< Divides the moved parameter by 1 + lr * weight_decay (Xie et al. 2022, Adan's form).
  corrected,  ///< As decoupled, times lr / (the rate before the schedule) (Defazio 2025, AdamC).
  cautious,   ///< As decoupled, but only where the update does not move p away from 0 (Chen et al. 2025).
};

/// What happens to updates whose sign is not that of the gradient (Liang et al. 2024, arXiv 2411.16085).
enum class Caution : unsigned {
  none,      ///< Nothing.
  masked,    ///< They become 0.
  rescaled,  ///< They become 0, and the others of the tensor are divided by their share, at least 1e-3.
};

/// The effect of an L1 penalty, l1 * sum |p|.
enum class L1 : unsigned {
  proximal,     ///< After the rule, |p| shrinks by lr * l1 and stops at 0, which gives exact zeros.
  subgradient,  ///< Adds l1 * sign(p) to the gradient before the rule; sign(0) is 0. p oscillates around 0.
};

namespace rule {

template <>
inline constexpr const char* kChoices<WeightDecay>[] = {"coupled",  "decoupled", "after",
                                                        "proximal", "corrected", "cautious"};
template <>
inline constexpr const char* kChoices<Caution>[] = {"none", "masked", "rescaled"};
template <>
inline constexpr const char* kChoices<L1>[] = {"proximal", "subgradient"};

/// The first operations of a step on a gradient, equal for all tensors: multiply by `factor`, then limit.
struct GradientScale {
  double factor = 1.0;  ///< Product of unscaling, the mean over micro-batches, and clipping by norm.
  float limit = __builtin_huge_valf();  ///< Clipping by value: limits the product to [-limit, limit].
};

/// The operations around a rule that a loop is compiled with.
enum class Extras : unsigned {
  none,    ///< Neither scale nor decay: the rule takes the gradient as it is, and p loses the update.
  scale,   ///< Also multiplies the gradient by a factor, and decays.
  all,     ///< Also clips by value, scales in two parts, applies L1 and caution, and decays in every form.
  settle,  ///< Also settles, before the rule (rule::settle(), element.hpp).
};

/// A step of a tensor settles if the tensor's step count is a multiple of this.
inline constexpr int kSettleInterval = 16;

/// One step of one element, for every rule:
///
///     g = clamp(factor * g, -limit, limit)           -g if maximize
///     g = g + weight_decay * p                       coupled
///     g = g + l1 * sign(p)                           subgradient
///     u = update(g, states)                          the rule
///     u = u * [u * g > 0]                            caution masked, rescaled
///     u = u / max(mean([u * g > 0]), 1e-3)           rescaled; the mean is over the tensor
///     p = p - (d * p + u)                            decoupled, else p - u
///     p = sign(p) * max(|p| - lr * l1, 0)            l1 proximal
///
/// d is lr * weight_decay. The other forms of decay replace d * p by
///
///     d * (p - u)                    after
///     d / (1 + d) * (p - u)          proximal: the new p is (p - u) / (1 + d)
///     lr / base_lr * d * p           corrected; base_lr is the rule's rate, before its group's schedule
///     d * p * [u * p >= 0]           cautious
///
/// The order is PyTorch's: the sign comes before the decay, and the old parameter decays. Weight decay and l1
/// together are the elastic net (Zou and Hastie 2005). Sources of the decays: Loshchilov and Hutter 2019,
/// arXiv 1711.05101 (decoupled); Zhuang et al. 2022, arXiv 2202.00089 (proximal); Defazio 2025, arXiv
/// 2506.02285 (corrected); Chen et al. 2025, arXiv 2510.12402, algorithm 1 (cautious). The proximal operation
/// is that of Parikh and Boyd 2014, section 6.5.2, with the learning rate as its step size for every rule.
/// Coefficients are computed in double and rounded once.
///
/// Decay joins the update before p loses both. The float32 nearest to 1 - lr * weight_decay is a multiple of
/// 2^-24: a product with it loses the decay below 3e-8, and is off by a fifth at 1e-7. An infinite parameter
/// that decays becomes NaN, whichever decay it is.
struct Around {
  float grad_scale;              ///< GradientScale::factor divided by grad_unit, and negated to maximize.
  float limit;                   ///< GradientScale::limit.
  float l2;                      ///< Coupled weight decay, else 0.
  float l1;                      ///< l1 if subgradient, else 0.
  float decay;                   ///< Share of the parameter that it loses, 0 if coupled.
  float threshold;               ///< lr * l1 if L1 is proximal, else 0.
  float grad_unit;               ///< 2^-126 if the factor is smaller, where float32 has fewer digits; else 1.
  float settles_states;          ///< In a step that settles, the magnitude below which states do; else 0.
  lane::Flag decays_after;       ///< The moved parameter decays: after, proximal.
  lane::Flag decays_cautiously;  ///< WeightDecay::cautious
  float kept_factor;             ///< Of updates that are not masked; negative if caution masks the others.

  /// Returns the magnitude below which a tensor's states settle in a step, or 0 if this step does not settle.
  ///
  /// 2^-100: in the 16 steps until the next one settles, an average that keeps a third of itself or more in
  /// each does not fall from there to 2^-126, where float32 becomes denormal.
  static ONEPASS_LANE float settled_at(std::int64_t step) {
    return step % kSettleInterval == 0 ? 0x1p-100f : 0.0f;
  }

  /// Returns the share of the parameter that it loses in a step by the decay that the rule leaves to Around.
  /// A rule with kOwnsDecay leaves coupled decay alone; decay_share() is a factor of all others.
  template <class Rule>
  static ONEPASS_LANE double decay_of(const Rule& rule, double base_lr, std::int64_t step) {
    if (rule.weight_decay_mode == WeightDecay::coupled) return 0.0;
    if constexpr (requires { Rule::kOwnsDecay; }) {
      return 0.0;
    } else {
      double decay = rule.lr * rule.weight_decay;
      if constexpr (requires { rule.decay_share(step); }) decay *= rule.decay_share(step);
      if (rule.weight_decay_mode == WeightDecay::corrected && base_lr > 0.0) decay *= rule.lr / base_lr;
      return rule.weight_decay_mode == WeightDecay::proximal ? decay / (1.0 + decay) : decay;
    }
  }

  /// Returns the rule's caution. A rule without the hyperparameter has none.
  template <class Rule>
  static ONEPASS_LANE Caution caution_of(const Rule& rule) {
    if constexpr (requires { rule.caution; }) {
      return rule.caution;
    } else {
      return Caution::none;
    }
  }

  /// Returns kept_factor if `kept` of the `numel` elements of a tensor are not masked.
  static ONEPASS_LANE float rescaled(double kept, std::int64_t numel) {
    const double share = kept / static_cast<double>(numel);
    return static_cast<float>(-1.0 / (share > 1e-3 ? share : 1e-3));
  }

  /// Computes the coefficients of the tensor's step number `step` in double and rounds each of them once.
  /// `base_lr`: the rule's learning rate before its group's schedule changed it.
  template <class Rule>
  static ONEPASS_LANE Around prepare(const Rule& rule, const GradientScale& scale, std::int64_t step,
                                     double base_lr) {
    const WeightDecay mode = rule.weight_decay_mode;
    const bool coupled = mode == WeightDecay::coupled;
    const bool proximal = rule.l1_mode == L1::proximal;
    const double unit = scale.factor != 0.0 && lane::abs(scale.factor) < 0x1p-126 ? 0x1p-126 : 1.0;
    const double factor = scale.factor / unit;
    const float settled = settled_at(step);
    return {.grad_scale = static_cast<float>(rule.maximize ? -factor : factor),
            .limit = scale.limit,
            .l2 = coupled ? static_cast<float>(rule.weight_decay) : 0.0f,
            .l1 = proximal ? 0.0f : static_cast<float>(rule.l1),
            .decay = static_cast<float>(decay_of(rule, base_lr, step)),
            .threshold = proximal ? static_cast<float>(rule.lr * rule.l1) : 0.0f,
            .grad_unit = static_cast<float>(unit),
            .settles_states = settled,
            .decays_after = mode == WeightDecay::after || mode == WeightDecay::proximal ? 1u : 0u,
            .decays_cautiously = mode == WeightDecay::cautious ? 1u : 0u,
            .kept_factor = caution_of(rule) != Caution::none ? -1.0f : 1.0f};
  }
  /// The same for a rule without a schedule.
  template <class Rule>
  static ONEPASS_LANE Around prepare(const Rule& rule, const GradientScale& scale, std::int64_t step) {
    return prepare(rule, scale, step, rule.lr);
  }

  /// As settles_states, for the parameter, which settles if it decays.
  [[nodiscard]] ONEPASS_LANE float settles_param() const {
    return (l2 != 0.0f) | (decay != 0.0f) ? settles_states : 0.0f;
  }

  /// Returns whether this step of a tensor settles anything.
  [[nodiscard]] ONEPASS_LANE bool settles(bool has_states) const {
    return (has_states ? settles_states : settles_param()) != 0.0f;
  }

  /// Returns the operations that this step of a tensor needs, but for settling. A CPU loop without the others
  /// is up to twice as fast in cache, and gives the same bits.
  [[nodiscard]] ONEPASS_LANE Extras extras() const {
    const bool limits = (limit <= __FLT_MAX__) | (grad_unit != 1.0f);
    const bool decays_otherwise = (decay != 0.0f) & ((decays_after | decays_cautiously) != 0);
    if (limits | (l1 != 0.0f) | (threshold != 0.0f) | decays_otherwise | (kept_factor < 0.0f))
      return Extras::all;
    return (grad_scale != 1.0f) | (l2 != 0.0f) | (decay != 0.0f) ? Extras::scale : Extras::none;
  }

  /// Returns the gradient that the rule sees. A penalty that is off adds nothing, not even 0: 0 * Inf would
  /// be NaN, and -0 + 0 is not -0.
  template <Extras kExtras>
  [[nodiscard]] ONEPASS_LANE float before(float p, float g) const {
    if constexpr (kExtras == Extras::none) return g;
    const float scaled =
        kExtras == Extras::scale ? grad_scale * g : lane::clamp(grad_scale * g * grad_unit, limit);
    const float decayed = l2 != 0.0f ? lane::fma(l2, p, scaled) : scaled;
    if constexpr (kExtras == Extras::scale) return decayed;
    return l1 != 0.0f ? decayed + lane::with_sign_of(p, l1) : decayed;
  }

  /// Returns whether two numbers have opposite signs. Neither 0 nor NaN has one. It has one comparison of
  /// choices, because GCC does not vectorise a loop with the disjunction of four comparisons.
  static ONEPASS_LANE bool are_opposite(float a, float b) {
    return (b > 0.0f ? -a : b < 0.0f ? a : 0.0f) > 0.0f;
  }

  /// Returns what the parameter loses a share of: p or the moved p, and 0 if the tensor does not decay. It
  /// masks bits, because to choose the sum instead takes longer.
  template <Extras kExtras>
  [[nodiscard]] ONEPASS_LANE float decaying(float p, float update) const {
    if constexpr (kExtras == Extras::none) return 0.0f;
    const auto decays = 0u - static_cast<storage::Bits>(decay != 0.0f);
    if constexpr (kExtras == Extras::scale) return storage::float_of(storage::bits_of(p) & decays);
    const auto agree = 0u - static_cast<storage::Bits>((decays_cautiously == 0) | !are_opposite(p, update));
    const float base = lane::select(decays_after, p - update, p);
    return storage::float_of(storage::bits_of(base) & decays & agree);
  }

  /// Returns whether two numbers have the same sign. Neither 0 nor NaN has one.
  static ONEPASS_LANE bool agree(float a, float b) {
    return ((a > 0.0f) & (b > 0.0f)) | ((a < 0.0f) & (b < 0.0f));
  }

  /// Returns the rule's update, or 0 if caution masks it: where it would move the parameter up the gradient,
  /// and where the gradient is 0. A NaN stays.
  template <Extras kExtras>
  [[nodiscard]] ONEPASS_LANE float masked(float update, float g) const {
    if constexpr (kExtras <= Extras::scale) return update;
    const bool stays = (kept_factor > 0.0f) | agree(update, g) | (update != update);
    return storage::float_of(storage::bits_of(lane::abs(kept_factor) * update) &
                             (0u - static_cast<storage::Bits>(stays)));
  }

  /// Returns the new parameter, given the rule's update and the gradient that the rule saw.
  template <Extras kExtras>
  [[nodiscard]] ONEPASS_LANE float after(float p, float g, float update) const {
    const float step = masked<kExtras>(update, g);
    const float moved = p - lane::fma(decay, decaying<kExtras>(p, step), step);
    if constexpr (kExtras <= Extras::scale) return moved;
    return lane::copysign(lane::at_least(0.0f, lane::abs(moved) - threshold), moved);
  }
};

/// Throws InvalidArgument unless the mode is coupled or decoupled: for a rule with kOwnsDecay, which has no
/// other.
inline void require_own_decay(const char* rule, WeightDecay mode) {
  if (mode == WeightDecay::coupled || mode == WeightDecay::decoupled) return;
  fail(rule, "weight_decay_mode must be coupled or decoupled, since the decay is a part of the rule");
}

/// Lists the hyperparameters that every rule has besides its learning rate.
template <class Rule>
void describe_shared(auto& list) {
  if constexpr (requires { &Rule::caution; }) {
    list("caution", &Rule::caution,
         "masked leaves out updates whose sign is not that of the gradient; rescaled also divides the others "
         "by "
         "their share of the tensor.");
  }
  list("weight_decay", &Rule::weight_decay, kNonnegative,
       "Gradient units per unit of p if coupled; share of p removed per step, times lr, if decoupled.");
  list("weight_decay_mode", &Rule::weight_decay_mode,
       "coupled adds weight_decay * p to the gradient; decoupled subtracts lr * weight_decay * p from p; "
       "after "
       "and proximal shrink the moved p; corrected is decoupled times lr / base_lr; cautious is decoupled "
       "where "
       "the update does not move p away from 0.");
  list("l1", &Rule::l1, kNonnegative, "Coefficient of the penalty l1 * sum |p|.");
  list("l1_mode", &Rule::l1_mode,
       "proximal shrinks |p| by lr * l1 and stops at 0; subgradient adds l1 * sign(p) to the gradient.");
  list("maximize", &Rule::maximize, "Ascends instead of descending.");
}

}  // namespace rule
}  // namespace onepass
