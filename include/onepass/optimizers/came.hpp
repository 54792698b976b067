// came.hpp - CAME: Adafactor with momentum, whose steps are shorter where they differ from their average.
#pragma once

#include <array>
#include <cstdint>

#include "onepass/arithmetic/lane.hpp"
#include "onepass/rule/around.hpp"
#include "onepass/rule/check.hpp"
#include "onepass/rule/concept.hpp"
#include "onepass/rule/hyperparameter.hpp"

namespace onepass {

/// CAME ("CAME: Confidence-guided Adaptive Memory Efficient Optimization", arXiv:2307.02047), as in
/// came-pytorch. For a parameter whose shape has two dimensions or more (Parameter::shape), with row i and
/// column j of each matrix:
///
///     exp_avg_sq_row_i = lerp(exp_avg_sq_row_i, mean_j(g^2) + eps1, 1 - beta2)
///     exp_avg_sq_col_j = lerp(exp_avg_sq_col_j, mean_i(g^2) + eps1, 1 - beta2)
///     u = g / sqrt(exp_avg_sq_row_i * exp_avg_sq_col_j / mean_i(exp_avg_sq_row))
///     u = u / max(1, rms(u) / clip_threshold)
///     exp_avg = lerp(exp_avg, u, 1 - beta1)
///     exp_avg_res_row_i = lerp(exp_avg_res_row_i, mean_j((u - exp_avg)^2) + eps2, 1 - beta3)
///     exp_avg_res_col_j = lerp(exp_avg_res_col_j, mean_i((u - exp_avg)^2) + eps2, 1 - beta3)
///     p -= lr * exp_avg / sqrt(exp_avg_res_row_i * exp_avg_res_col_j / mean_i(exp_avg_res_row))
///
/// A vector has exp_avg_sq, the moving average of g^2 + eps1 of each element, in place of the first product,
/// and p -= lr * exp_avg. rms is the root of the mean of squares over the parameter. Means over rows and
/// columns and rms are in double; a state of a row or column is one float32, in every storage. A step passes
/// over the gradient four times.
///
/// g is the gradient after sign (maximize) and coupled weight decay; rule::Around adds the other forms of
/// weight decay. describe() has units and ranges. NaN or Inf in a gradient spreads over its matrix.
///
/// Use: as Adafactor, with momentum: it takes shorter steps where the directions of the steps differ.
struct CAME {
  double lr = 2e-4;
  double beta1 = 0.9;
  double beta2 = 0.999;
  double beta3 = 0.9999;
  double eps1 = 1e-30;
  double eps2 = 1e-16;
  double clip_threshold = 1.0;
  double weight_decay = 0.0;
  double l1 = 0.0;
  WeightDecay weight_decay_mode = WeightDecay::decoupled;
  L1 l1_mode = L1::proximal;
  bool maximize = false;

  static constexpr const char* kName = "CAME";
  static constexpr int kSums = 1;
  static constexpr unsigned kMatrixBit = 1;
  /// Lists the hyperparameters; rule::describe_shared() lists the others.
  static void describe(auto& list) {
    list("lr", &CAME::lr, rule::kNonnegative, "Learning rate: the size of a step, in parameter units.");
    list("beta1", &CAME::beta1, rule::kUnitInterval, "Share of exp_avg kept per step.");
    list("beta2", &CAME::beta2, rule::kUnitInterval, "Share of the averages of g^2 kept per step.");
    list("beta3", &CAME::beta3, rule::kUnitInterval,
         "Share of the averages of (u - exp_avg)^2 kept per step.");
    list("eps1", &CAME::eps1, rule::kEps,
         "Squared gradient units, added to g^2. With 0, a gradient of 0 gives 0 / 0 = NaN.");
    list("eps2", &CAME::eps2, rule::kEps, "Added to (u - exp_avg)^2, which has no unit.");
    list("clip_threshold", &CAME::clip_threshold, rule::kNonnegative,
         "Largest rms(u) of a step; 0 for no limit.");
  }

  /// The coefficients of one step; see prepare() and finish().
  struct Coefficients {
    float step_size;  ///< lr
    float clip;       ///< 1 / max(1, rms(u) / clip_threshold), from finish()
    float one_minus_beta1, one_minus_beta2, one_minus_beta3;
    float eps1, eps2;
  };

  /// Moves exp_avg by the clipped u and returns that.
  static ONEPASS_LANE float averaged(const Coefficients& k, float u, float& exp_avg) {
    const float clipped = u * k.clip;
    exp_avg = lane::lerp(exp_avg, clipped, k.one_minus_beta1);
    return clipped;
  }

  /// For vectors.
  struct Plain {
    static constexpr std::array kStates{"exp_avg", "exp_avg_sq"};
    static constexpr std::array kDecays{"beta1", "beta2"};
    static constexpr unsigned kNonnegative = 0b10;
    static constexpr unsigned kMeasured = rule::kGrad | rule::kState<1>;
    /// Moves exp_avg_sq and returns u.
    static ONEPASS_LANE float moved(const Coefficients& k, float g, float& exp_avg_sq) {
      exp_avg_sq = lane::lerp(exp_avg_sq, lane::fma(g, g, k.eps1), k.one_minus_beta2);
      return g / lane::sqrt(exp_avg_sq);
    }
    static ONEPASS_LANE void measure(const Coefficients& k, float /*p*/, float g, float /*exp_avg*/,
                                     float exp_avg_sq, float (&terms)[kSums]) {
      terms[0] = moved(k, g, exp_avg_sq);
    }
    static ONEPASS_LANE float update(const Coefficients& k, float /*p*/, float g, float& exp_avg,
                                     float& exp_avg_sq) {
      averaged(k, moved(k, g, exp_avg_sq), exp_avg);
      return k.step_size * exp_avg;
    }
  };

  /// For matrices.
  struct Factored {
    static constexpr std::array kStates{"exp_avg"};
    static constexpr unsigned kFloat32 = 0b1;
    static constexpr std::array kAxes{rule::AxisState{"exp_avg_sq_row", rule::Axis::rows, 0},
                                      rule::AxisState{"exp_avg_sq_col", rule::Axis::columns, 0},
                                      rule::AxisState{"exp_avg_res_row", rule::Axis::rows, 1},
                                      rule::AxisState{"exp_avg_res_col", rule::Axis::columns, 1}};
    static constexpr std::array kAxisStreams{rule::kGrad, rule::kGrad | rule::kState<0>};
    static constexpr unsigned kMeasured = rule::kGrad;

    static ONEPASS_LANE float direction(float g, float row, float column) { return g * (row * column); }
    /// The gradient, and then what is left of u beside exp_avg.
    template <int kPass>
    static ONEPASS_LANE float axis_term(const Coefficients& k, float /*p*/, float g, float exp_avg, float row,
                                        float column, float /*res_row*/, float /*res_col*/) {
      if constexpr (kPass == 0) return g;
      return averaged(k, direction(g, row, column), exp_avg) - exp_avg;
    }
    static ONEPASS_LANE void move_axis(const Coefficients& k, int axis, double mean, float& state) {
      const float eps = axis < 2 ? k.eps1 : k.eps2;
      state = lane::lerp(state, static_cast<float>(mean + static_cast<double>(eps)),
                         axis < 2 ? k.one_minus_beta2 : k.one_minus_beta3);
    }
    /// The product of the numbers of a row and a column is 1 over the root of the factored average, so that
    /// an element takes neither root nor quotient.
    static ONEPASS_LANE float axis_number(const Coefficients& /*k*/, int axis, float state, double mean) {
      const bool is_row = axis % 2 == 0;
      const double square = is_row ? static_cast<double>(state) / mean : static_cast<double>(state);
      return static_cast<float>(1.0 / lane::sqrt(square));
    }
    static ONEPASS_LANE void measure(const Coefficients& /*k*/, float /*p*/, float g, float /*exp_avg*/,
                                     float row, float column, float /*res_row*/, float /*res_col*/,
                                     float (&terms)[kSums]) {
      terms[0] = direction(g, row, column);
    }
    static ONEPASS_LANE float update(const Coefficients& k, float /*p*/, float g, float& exp_avg, float row,
                                     float column, float res_row, float res_col) {
      averaged(k, direction(g, row, column), exp_avg);
      return k.step_size * (exp_avg * (res_row * res_col));
    }
  };

  using Variants = VariantList<Plain, Factored>;
  /// Index of the variant that this rule needs for a vector.
  [[nodiscard]] unsigned variant() const { return 0; }

  /// Computes the coefficients of a tensor's step in double and rounds each of them once.
  [[nodiscard]] ONEPASS_LANE Coefficients prepare(std::int64_t /*step*/) const {
    return {.step_size = static_cast<float>(lr),
            .clip = 1.0f,
            .one_minus_beta1 = static_cast<float>(1.0 - beta1),
            .one_minus_beta2 = static_cast<float>(1.0 - beta2),
            .one_minus_beta3 = static_cast<float>(1.0 - beta3),
            .eps1 = static_cast<float>(eps1),
            .eps2 = static_cast<float>(eps2)};
  }

  /// Makes the clip, given the squares of u.
  ONEPASS_LANE void finish(std::int64_t /*step*/, const rule::Sums<kSums>& sums, Coefficients& k) const {
    const double rms = sums.root_mean_square(0);
    if (clip_threshold > 0.0 && rms > clip_threshold) k.clip = static_cast<float>(clip_threshold / rms);
  }

  /// Throws InvalidArgument if an average cannot hold its eps.
  void check() const {
    const auto vanishes = [](double eps, double beta) {
      return eps != 0.0 && static_cast<float>(eps * (1.0 - beta)) == 0.0f;
    };
    if (vanishes(eps1, beta2))
      rule::fail(kName, "eps1 * (1 - beta2) is 0 in float32, so that it would have no effect");
    if (vanishes(eps2, beta3))
      rule::fail(kName, "eps2 * (1 - beta3) is 0 in float32, so that it would have no effect");
  }
};

}  // namespace onepass
