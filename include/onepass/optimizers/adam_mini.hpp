// adam_mini.hpp - Adam-mini: AdamW with one second moment for each row of a matrix.
#pragma once

#include <array>
#include <cstdint>

#include "onepass/arithmetic/lane.hpp"
#include "onepass/rule/around.hpp"
#include "onepass/rule/check.hpp"
#include "onepass/rule/concept.hpp"
#include "onepass/rule/hyperparameter.hpp"

namespace onepass {

/// Adam-mini ("Adam-mini: Use Fewer Learning Rates To Gain More", arXiv:2406.16793): AdamW with one second
/// moment for each row of a parameter, in place of one for each element. On step t = 1, 2, ... of a parameter
/// whose shape has two dimensions or more (Parameter::shape), with row i of each matrix:
///
///     exp_avg = lerp(exp_avg, g, 1 - beta1)
///     vmean_i = lerp(vmean_i, mean_j(g^2), 1 - beta2)
///     p      -= lr / (1 - beta1^t) * exp_avg / (sqrt(vmean_i / (1 - beta2^t)) + eps)
///
/// A vector has exp_avg_sq, the moving average of g^2 of each element, as in Adam. The shape says what has a
/// second moment of its own: {out, in} the neurons of a matrix, {heads, dim * dim / heads} the heads of a
/// query or key projection, and {1, n} a tensor as a whole.
///
/// g is the gradient after sign (maximize) and coupled weight decay; rule::Around adds the other forms of
/// weight decay. Means over rows are in double; vmean is one float32 for each row, in every storage. A step
/// passes over the gradient twice. NaN or Inf in one makes its row NaN. describe() has units and ranges.
///
/// Use: as AdamW in half of the memory for states; a row should be what learns together, such as a neuron.
struct AdamMini {
  double lr = 1e-3;
  double beta1 = 0.9;
  double beta2 = 0.999;
  double eps = 1e-8;
  double weight_decay = 0.0;
  double l1 = 0.0;
  WeightDecay weight_decay_mode = WeightDecay::decoupled;
  L1 l1_mode = L1::proximal;
  bool maximize = false;

  static constexpr const char* kName = "AdamMini";
  static constexpr unsigned kMatrixBit = 1;
  /// Lists the hyperparameters; rule::describe_shared() lists the others.
  static void describe(auto& list) {
    list("lr", &AdamMini::lr, rule::kNonnegative, "Learning rate: the size of a step, in parameter units.");
    list("beta1", &AdamMini::beta1, rule::kUnitInterval, "Share of exp_avg kept per step.");
    list("beta2", &AdamMini::beta2, rule::kUnitInterval, "Share of vmean or exp_avg_sq kept per step.");
    list("eps", &AdamMini::eps, rule::kEps,
         "Gradient units, outside the root. With 0, a gradient of 0 gives 0 / 0 = NaN.");
  }

  /// The coefficients of one step; see prepare().
  struct Coefficients {
    float step_size;  ///< lr / (1 - beta1^t)
    float one_minus_beta1, one_minus_beta2;
    float inverse_root;  ///< 1 / sqrt(1 - beta2^t)
    float eps;
  };

  /// Returns what an update is divided by, for a second moment.
  static ONEPASS_LANE float denominator(const Coefficients& k, float square) {
    return lane::fma(lane::sqrt(square), k.inverse_root, k.eps);
  }

  /// For vectors: Adam.
  struct Plain {
    static constexpr std::array kStates{"exp_avg", "exp_avg_sq"};
    static constexpr std::array kDecays{"beta1", "beta2"};
    static constexpr unsigned kNonnegative = 0b10;
    static ONEPASS_LANE float update(const Coefficients& k, float /*p*/, float g, float& exp_avg,
                                     float& exp_avg_sq) {
      exp_avg = lane::lerp(exp_avg, g, k.one_minus_beta1);
      exp_avg_sq = lane::lerp(exp_avg_sq, g * g, k.one_minus_beta2);
      return k.step_size * (exp_avg / denominator(k, exp_avg_sq));
    }
  };

  /// For matrices: one second moment for each row.
  struct Rows {
    static constexpr std::array kStates{"exp_avg"};
    static constexpr std::array kDecays{"beta1"};
    static constexpr std::array kAxes{rule::AxisState{"vmean", rule::Axis::rows}};
    static constexpr std::array kAxisStreams{rule::kGrad};
    template <int kPass>
    static ONEPASS_LANE float axis_term(const Coefficients& /*k*/, float /*p*/, float g, float /*exp_avg*/,
                                        float /*row*/) {
      return g;
    }
    static ONEPASS_LANE void move_axis(const Coefficients& k, int /*axis*/, double mean, float& state) {
      state = lane::lerp(state, static_cast<float>(mean), k.one_minus_beta2);
    }
    static ONEPASS_LANE float axis_number(const Coefficients& k, int /*axis*/, float state, double /*mean*/) {
      return 1.0f / denominator(k, state);
    }
    static ONEPASS_LANE float update(const Coefficients& k, float /*p*/, float g, float& exp_avg, float row) {
      exp_avg = lane::lerp(exp_avg, g, k.one_minus_beta1);
      return k.step_size * (exp_avg * row);
    }
  };

  using Variants = VariantList<Plain, Rows>;
  /// Index of the variant that this rule needs for a vector.
  [[nodiscard]] unsigned variant() const { return 0; }

  /// Computes the coefficients of a tensor's step in double and rounds each of them once.
  [[nodiscard]] ONEPASS_LANE Coefficients prepare(std::int64_t step) const {
    const double correction1 = 1.0 - lane::power(beta1, step);
    const double correction2 = 1.0 - lane::power(beta2, step);
    return {.step_size = static_cast<float>(lr / correction1),
            .one_minus_beta1 = static_cast<float>(1.0 - beta1),
            .one_minus_beta2 = static_cast<float>(1.0 - beta2),
            .inverse_root = static_cast<float>(1.0 / lane::sqrt(correction2)),
            .eps = static_cast<float>(eps)};
  }
};

}  // namespace onepass
