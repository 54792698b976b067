// adafactor.hpp - Adafactor: averages of squares by rows and columns, and steps relative to the parameter.
#pragma once

#include <array>
#include <cfloat>
#include <cstdint>

#include "onepass/arithmetic/lane.hpp"
#include "onepass/arithmetic/math.hpp"
#include "onepass/rule/around.hpp"
#include "onepass/rule/check.hpp"
#include "onepass/rule/concept.hpp"
#include "onepass/rule/hyperparameter.hpp"

namespace onepass {

/// Adafactor ("Adafactor: Adaptive Learning Rates with Sublinear Memory Cost", arXiv:1804.04235, algorithms 4
/// to 6), as in torch.optim.Adafactor. For a parameter whose shape has two dimensions or more
/// (Parameter::shape), with row i and column j of each matrix, on step t = 1, 2, ...:
///
///     w = t^beta2_decay
///     row_var_i = lerp(row_var_i, mean_j(g^2), w)
///     col_var_j = lerp(col_var_j, mean_i(g^2), w)
///     v = row_var_i * col_var_j / max(mean_i(row_var), eps1)
///     u = g / max(sqrt(v), eps1)
///     rate = max(eps2, rms(p)) * min(lr, 1 / sqrt(t))
///     p -= rate / max(1, rms(u) / d) * u
///
/// A vector has v = variance, the moving average of g^2 of each element, in place of the product. rms is the
/// root of the mean of squares over the parameter. Means over rows and columns and rms are in double; a
/// state of a row or column is one float32, in every storage. A step passes over the gradient three times.
///
/// g is the gradient after sign (maximize) and coupled weight decay; rule::Around adds the other forms of
/// weight decay, which go by lr and not by the rate. beta1 > 0 keeps exp_avg, the moving average of what is
/// subtracted from p. describe() has units and ranges of the hyperparameters.
///
/// Use: large models in little memory: a matrix has one number for each row and column as its state.
///
/// NaN or Inf in a gradient makes its row and its column NaN or Inf, and rms(u) counts as no reason to clip.
struct Adafactor {
  double lr = 1e-2;
  double beta2_decay = -0.8;
  double eps1 = 0x1p-23;
  double eps2 = 1e-3;
  double d = 1.0;
  double beta1 = 0.0;
  double weight_decay = 0.0;
  double l1 = 0.0;
  WeightDecay weight_decay_mode = WeightDecay::decoupled;
  L1 l1_mode = L1::proximal;
  bool relative_step = true;
  bool warmup_init = false;
  bool scale_parameter = true;
  bool adds_eps1 = false;
  bool maximize = false;

  static constexpr const char* kName = "Adafactor";
  static constexpr int kSums = 2;
  static constexpr unsigned kMatrixBit = 1;
  /// Lists the hyperparameters; rule::describe_shared() lists the others.
  static void describe(auto& list) {
    list("lr", &Adafactor::lr, rule::kNonnegative,
         "Learning rate: share of the parameter's rms per step, if scale_parameter is on.");
    list("beta2_decay", &Adafactor::beta2_decay, rule::kNonpositive,
         "The moving averages of squares move by the share t^beta2_decay.");
    list("eps1", &Adafactor::eps1, rule::kEps,
         "Gradient units: the smallest root of v. Squared gradient units if adds_eps1 is on. With 0, a "
         "gradient "
         "of 0 may give 0 / 0 = NaN.");
    list("eps2", &Adafactor::eps2, rule::kEps, "Parameter units: the smallest rms(p) that scales a step.");
    list("d", &Adafactor::d, rule::kNonnegative, "Largest rms(u) of a step; 0 for no limit.");
    list("beta1", &Adafactor::beta1, rule::kUnitInterval, "Share of exp_avg kept per step; 0 for none.");
    list("relative_step", &Adafactor::relative_step, "Limits the rate to 1 / sqrt(t).");
    list("warmup_init", &Adafactor::warmup_init, "Limits the rate to 1e-6 * t, in place of lr.");
    list("scale_parameter", &Adafactor::scale_parameter, "Multiplies the rate by max(eps2, rms(p)).");
    list("adds_eps1", &Adafactor::adds_eps1,
         "Adds eps1 to g^2 in place of limiting the root of v and the mean of row_var.");
  }

  /// The coefficients of one step; see prepare() and finish().
  struct Coefficients {
    float step_size;     ///< The rate, divided by the clip.
    float weight;        ///< w
    float square_eps;    ///< eps1 if it is added to g^2, else 0.
    float least_root;    ///< 0 if eps1 is added to g^2, else eps1.
    float most_inverse;  ///< 1 / least_root, if that limits the root.
    lane::Flag limits;
    float one_minus_beta1;
  };

  /// Returns u for the variance of an element.
  static ONEPASS_LANE float direction(const Coefficients& k, float g, float v) {
    return g / lane::at_least(k.least_root, lane::sqrt(v));
  }

  /// Without momentum, for vectors: one state for each element.
  struct Plain {
    static constexpr std::array kStates{"variance"};
    static constexpr unsigned kNonnegative = 0b1;
    static constexpr unsigned kMeasured = rule::kParam | rule::kGrad | rule::kState<0>;
    static ONEPASS_LANE void measure(const Coefficients& k, float p, float g, float variance,
                                     float (&terms)[kSums]) {
      terms[0] = p;
      terms[1] = moved(k, g, variance);
    }
    static ONEPASS_LANE float update(const Coefficients& k, float /*p*/, float g, float& variance) {
      return k.step_size * moved(k, g, variance);
    }
    /// Moves the variance and returns u.
    static ONEPASS_LANE float moved(const Coefficients& k, float g, float& variance) {
      variance = lane::lerp(variance, lane::fma(g, g, k.square_eps), k.weight);
      return direction(k, g, variance);
    }
  };

  /// Both variants for matrices have these members.
  struct OfMatrices {
    static constexpr std::array kAxes{rule::AxisState{"row_var", rule::Axis::rows},
                                      rule::AxisState{"col_var", rule::Axis::columns}};
    static constexpr std::array kAxisStreams{rule::kGrad};
    static constexpr unsigned kMeasured = rule::kParam | rule::kGrad;
    static ONEPASS_LANE void move_axis(const Coefficients& k, int /*axis*/, double mean, float& state) {
      state = lane::lerp(state, static_cast<float>(mean + static_cast<double>(k.square_eps)), k.weight);
    }
    /// The product of the numbers of a row and a column is 1 / sqrt(v), so that an element takes neither root
    /// nor quotient.
    static ONEPASS_LANE float axis_number(const Coefficients& k, int axis, float state, double mean) {
      const double least = static_cast<double>(k.least_root), floor = least > mean ? least : mean;
      const double square = axis == 0 ? static_cast<double>(state) / floor : static_cast<double>(state);
      return static_cast<float>(1.0 / lane::sqrt(square));
    }
    /// Returns u.
    static ONEPASS_LANE float direction_of(const Coefficients& k, float g, float row, float column) {
      const float inverse = row * column;
      return g * (k.limits != 0 && inverse > k.most_inverse ? k.most_inverse : inverse);
    }
  };

  /// Without momentum, for matrices: no state for an element.
  struct Factored : OfMatrices {
    static constexpr std::array<const char*, 0> kStates{};
    template <int kPass>
    static ONEPASS_LANE float axis_term(const Coefficients& /*k*/, float /*p*/, float g, float /*row*/,
                                        float /*column*/) {
      return g;
    }
    static ONEPASS_LANE void measure(const Coefficients& k, float p, float g, float row, float column,
                                     float (&terms)[kSums]) {
      terms[0] = p;
      terms[1] = direction_of(k, g, row, column);
    }
    static ONEPASS_LANE float update(const Coefficients& k, float /*p*/, float g, float row, float column) {
      return k.step_size * direction_of(k, g, row, column);
    }
  };

  /// Moves exp_avg by a step and returns it.
  static ONEPASS_LANE float averaged(const Coefficients& k, float step, float& exp_avg) {
    exp_avg = lane::lerp(exp_avg, step, k.one_minus_beta1);
    return exp_avg;
  }

  /// With momentum, for vectors.
  struct PlainMomentum {
    static constexpr std::array kStates{"exp_avg", "variance"};
    static constexpr std::array kDecays{"beta1", static_cast<const char*>(nullptr)};
    static constexpr unsigned kNonnegative = 0b10;
    static constexpr unsigned kMeasured = rule::kParam | rule::kGrad | rule::kState<1>;
    static ONEPASS_LANE void measure(const Coefficients& k, float p, float g, float /*exp_avg*/,
                                     float variance, float (&terms)[kSums]) {
      Plain::measure(k, p, g, variance, terms);
    }
    static ONEPASS_LANE float update(const Coefficients& k, float p, float g, float& exp_avg,
                                     float& variance) {
      return averaged(k, Plain::update(k, p, g, variance), exp_avg);
    }
  };

  /// With momentum, for matrices.
  struct FactoredMomentum : OfMatrices {
    static constexpr std::array kStates{"exp_avg"};
    static constexpr std::array kDecays{"beta1"};
    template <int kPass>
    static ONEPASS_LANE float axis_term(const Coefficients& /*k*/, float /*p*/, float g, float /*exp_avg*/,
                                        float /*row*/, float /*column*/) {
      return g;
    }
    static ONEPASS_LANE void measure(const Coefficients& k, float p, float g, float /*exp_avg*/, float row,
                                     float column, float (&terms)[kSums]) {
      Factored::measure(k, p, g, row, column, terms);
    }
    static ONEPASS_LANE float update(const Coefficients& k, float p, float g, float& exp_avg, float row,
                                     float column) {
      return averaged(k, Factored::update(k, p, g, row, column), exp_avg);
    }
  };

  using Variants = VariantList<Plain, Factored, PlainMomentum, FactoredMomentum>;
  /// Index of the variant that this rule needs for a vector.
  [[nodiscard]] unsigned variant() const { return beta1 != 0.0 ? 2u : 0u; }

  /// Computes the coefficients of a tensor's step in double and rounds each of them once.
  [[nodiscard]] ONEPASS_LANE Coefficients prepare(std::int64_t step) const {
    const bool limits = !adds_eps1 && eps1 * double{FLT_MAX} > 1.0;
    return {.step_size = static_cast<float>(lr),
            .weight = static_cast<float>(lane::pow(static_cast<double>(step), beta2_decay)),
            .square_eps = adds_eps1 ? static_cast<float>(eps1) : 0.0f,
            .least_root = adds_eps1 ? 0.0f : static_cast<float>(eps1),
            .most_inverse = limits ? static_cast<float>(1.0 / eps1) : 0.0f,
            .limits = limits ? 1u : 0u,
            .one_minus_beta1 = static_cast<float>(1.0 - beta1)};
  }

  /// Makes the step size, given the squares of p and u.
  ONEPASS_LANE void finish(std::int64_t step, const rule::Sums<kSums>& sums, Coefficients& k) const {
    const double t = static_cast<double>(step);
    double rate = warmup_init ? 1e-6 * t : lr;
    if (relative_step && rate * lane::sqrt(t) > 1.0) rate = 1.0 / lane::sqrt(t);
    const double of_param = sums.root_mean_square(0), of_direction = sums.root_mean_square(1);
    if (scale_parameter) rate *= of_param > eps2 ? of_param : eps2;
    k.step_size = static_cast<float>(d > 0.0 && of_direction > d ? rate / (of_direction / d) : rate);
  }

  /// Lists the presets.
  static void presets(auto& list) {
    list("torch", torch(), "torch.optim.Adafactor has the defaults of this rule.");
    list("transformers", transformers(),
         "Adafactor of Hugging Face Transformers with a learning rate of its own (relative_step=False). Its "
         "weight decay goes by the scaled rate; here it goes by lr.");
    list("t5", t5(),
         "Adafactor of Hugging Face Transformers by default, and of T5: the rate is min(0.01, 1 / sqrt(t)) "
         "times rms(p).");
    list("optax", optax(),
         "optax.adafactor factors the two largest dimensions if both have 128 or more; here the shape "
         "decides. Its weight decay is not multiplied by the learning rate.");
  }
  /// torch.optim.Adafactor. Source: torch 2.15, torch/optim/_adafactor.py.
  static constexpr Adafactor torch() { return {}; }
  /// transformers.Adafactor(lr=1e-3, scale_parameter=False, relative_step=False). Source: transformers 4.57.
  static constexpr Adafactor transformers() {
    return {.lr = 1e-3, .eps1 = 1e-30, .relative_step = false, .scale_parameter = false, .adds_eps1 = true};
  }
  /// transformers.Adafactor(). Source: transformers 4.57, optimization.py.
  static constexpr Adafactor t5() { return {.eps1 = 1e-30, .adds_eps1 = true}; }
  /// optax.adafactor. Source: optax 0.2.8. optax has no default learning rate.
  static constexpr Adafactor optax() { return {.eps1 = 1e-30, .relative_step = false, .adds_eps1 = true}; }
};

}  // namespace onepass
