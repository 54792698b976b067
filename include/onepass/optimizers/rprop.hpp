// rprop.hpp - Rprop: each element's step grows while its gradient keeps its sign, and shrinks if it turns.
#pragma once

#include <array>
#include <cstdint>

#include "onepass/rule/concept.hpp"

namespace onepass {

/// Rprop without backtracking (iRprop-), elementwise, for gradients of the whole data set.
///
///     step_size = lr                                             before the parameter's first step
///     step_size = step_size * eta_plus                           prev and g have the same sign
///     step_size = step_size * eta_minus;  g = 0                  prev and g have opposite signs
///     step_size = min(max(step_size, step_size_min), step_size_max)
///     prev      = g
///     p         = p - sign(g) * step_size
///
/// sign(0) is 0, and neither factor applies where prev or g is 0. g is the gradient after sign (maximize) and
/// coupled weight decay; see rule::Around. Of lr, only its value at the first step counts, but for decoupled
/// weight decay and a proximal L1 penalty, which are always scaled by the present one.
///
/// Source: Riedmiller and Braun 1993, in the form of Igel and Huesken 2000, Improving the Rprop Learning
/// Algorithm, algorithm 4 (iRprop-), which PyTorch has. Deviation from PyTorch: the two signs are compared,
/// where PyTorch takes the sign of g * prev, which is 0 if float32 rounds it to 0.
///
/// step_size stays float32 in every format: it ranges over 8 decades. Of prev, only the sign counts; formats
/// with less than 32 bits store 1, -1 or 0 in its place, so no rounding loses it.
///
/// Use: gradients of the whole data set. The sign of a mini-batch's gradient turns by chance.
///
/// Shapes: p, g and the states have equal numel; the rule combines elements with equal index. The arithmetic
/// is in float32; Storage says how p and prev are stored.
///
/// NaN in a gradient propagates into prev and p. Inf counts by its sign. step_size stays finite.
///
/// describe() has units and ranges of the hyperparameters; step_size_min must be at most step_size_max.
struct Rprop {
  double lr = 1e-2;
  double eta_minus = 0.5;
  double eta_plus = 1.2;
  double step_size_min = 1e-6;
  double step_size_max = 50.0;
  double weight_decay = 0.0;
  double l1 = 0.0;
  WeightDecay weight_decay_mode = WeightDecay::coupled;
  L1 l1_mode = L1::proximal;
  bool maximize = false;

  static constexpr const char* kName = "Rprop";
  static constexpr Range kAboveOne{"> 1", "be above 1 and finite in float32",
                                   [](double x) { return x > 1.0 && rule::is_finite(x); }};
  /// Lists the hyperparameters; rule::describe_shared() lists the others.
  static void describe(auto& list) {
    list("lr", &Rprop::lr, rule::kNonnegative, "First step size: parameter units.");
    list("eta_minus", &Rprop::eta_minus, rule::kUnitInterval, "Factor of the step size if the sign turns.");
    list("eta_plus", &Rprop::eta_plus, kAboveOne, "Factor of the step size if the sign stays.");
    list("step_size_min", &Rprop::step_size_min, rule::kNonnegative, "Smallest step size: parameter units.");
    list("step_size_max", &Rprop::step_size_max, rule::kNonnegative, "Largest step size: parameter units.");
  }

  /// The coefficients of one step; see prepare().
  struct Coefficients {
    float first_size, eta_minus, eta_plus, smallest, largest;
    lane::Flag starts;  ///< Sets step_size to first_size: on the first step.
  };

  /// The only variant.
  struct Plain {
    static constexpr std::array kStates{"prev", "step_size"};
    static constexpr unsigned kNonnegative = 0b10;
    static constexpr unsigned kFloat32 = 0b10;
    static ONEPASS_LANE float update(const Coefficients& k, float /*p*/, float g, float& prev,
                                     float& step_size) {
      const float agreement = lane::with_sign_of(prev, g);  // has the sign of prev * g
      const float factor = agreement > 0.0f ? k.eta_plus : agreement < 0.0f ? k.eta_minus : 1.0f;
      const float size = lane::select(k.starts, k.first_size, step_size) * factor;
      step_size = lane::at_least(k.smallest, size > k.largest ? k.largest : size);
      prev = agreement < 0.0f ? 0.0f : g;
      return lane::with_sign_of(prev, step_size);
    }
    static ONEPASS_LANE void compress(float& prev, float& /*step_size*/) {
      prev = lane::clamp(prev * 0x1p100f * 0x1p100f, 1.0f);
    }
    static ONEPASS_LANE void expand(float& /*prev*/, float& /*step_size*/) {}
  };

  using Variants = VariantList<Plain>;
  /// Index of the variant that this rule needs.
  [[nodiscard]] unsigned variant() const { return 0; }

  /// Computes the coefficients of a tensor's step in double and rounds each of them once.
  [[nodiscard]] ONEPASS_LANE Coefficients prepare(std::int64_t step) const {
    return {.first_size = static_cast<float>(lr),
            .eta_minus = static_cast<float>(eta_minus),
            .eta_plus = static_cast<float>(eta_plus),
            .smallest = static_cast<float>(step_size_min),
            .largest = static_cast<float>(step_size_max),
            .starts = step == 1 ? 1u : 0u};
  }

  /// Throws InvalidArgument if the smallest step size is above the largest.
  void check() const {
    if (step_size_min > step_size_max) rule::fail(kName, "step_size_min must be at most step_size_max");
  }
};

}  // namespace onepass
