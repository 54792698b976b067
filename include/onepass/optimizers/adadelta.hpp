// adadelta.hpp - Adadelta: steps as long as recent steps, relative to the size of recent gradients.
#pragma once

#include <array>
#include <cstdint>

#include "onepass/rule/concept.hpp"

namespace onepass {

/// Adadelta, elementwise.
///
///     square_avg = rho * square_avg + (1 - rho) * g^2
///     d          = sqrt(acc_delta + eps) / sqrt(square_avg + eps) * g        acc_delta before this step
///     acc_delta  = rho * acc_delta + (1 - rho) * d^2
///     p          = p - lr * d
///
/// g is the gradient after sign (maximize) and coupled weight decay; see rule::Around.
///
/// Source: Zeiler 2012, arXiv 1212.5701, algorithm 1, and PyTorch's lr, which the paper does not have:
/// acc_delta averages the steps before lr scales them. Deviations: none.
///
/// The first steps are short, because acc_delta starts at 0: the first has a length of lr * sqrt(eps) /
/// sqrt(1
/// - rho), if eps is small beside g^2. A larger eps starts faster.
///
/// square_avg stays float32 in every format. Where it is rounded down, d is too long, acc_delta remembers
/// that, and the next steps are longer too: errors of the quotient multiply. With 8 bits, steps grew without
/// bound. acc_delta may have 8 bits.
///
/// Use: steps of a sensible length without a tuned learning rate.
///
/// Shapes: p, g and the states have equal numel; the rule combines elements with equal index. The arithmetic
/// is in float32; Storage says how p and acc_delta are stored.
///
/// Inf and NaN in a gradient propagate into the states and p. The square of a gradient beyond 1.8e19
/// overflows float32: square_avg becomes Inf and d becomes 0, and all are NaN one step later.
///
/// describe() has units and ranges of the hyperparameters.
struct Adadelta {
  double lr = 1.0;
  double rho = 0.9;
  double eps = 1e-6;
  double weight_decay = 0.0;
  double l1 = 0.0;
  WeightDecay weight_decay_mode = WeightDecay::coupled;
  L1 l1_mode = L1::proximal;
  bool maximize = false;

  static constexpr const char* kName = "Adadelta";
  /// Lists the hyperparameters; rule::describe_shared() lists the others.
  static void describe(auto& list) {
    list("lr", &Adadelta::lr, rule::kNonnegative, "Learning rate: multiple of the paper's step.");
    list("rho", &Adadelta::rho, rule::kUnitInterval, "Share of the two averages kept per step.");
    list("eps", &Adadelta::eps, rule::kEps,
         "Inside both roots, in squared gradient and squared parameter units. With 0, no step leaves 0.");
  }

  /// The coefficients of one step; see prepare().
  struct Coefficients {
    float lr, one_minus_rho, eps;
  };

  /// The only variant.
  struct Plain {
    static constexpr std::array kStates{"square_avg", "acc_delta"};
    static constexpr std::array kDecays{"rho", "rho"};
    static constexpr unsigned kNonnegative = 0b11;
    static constexpr unsigned kFloat32 = 0b01;
    static ONEPASS_LANE float update(const Coefficients& k, float /*p*/, float g, float& square_avg,
                                     float& acc_delta) {
      square_avg = lane::lerp(square_avg, g * g, k.one_minus_rho);
      const float d = lane::sqrt(acc_delta + k.eps) / lane::sqrt(square_avg + k.eps) * g;
      acc_delta = lane::lerp(acc_delta, d * d, k.one_minus_rho);
      return k.lr * d;
    }
  };

  using Variants = VariantList<Plain>;
  /// Index of the variant that this rule needs.
  [[nodiscard]] unsigned variant() const { return 0; }

  /// Computes the coefficients of a tensor's step in double and rounds each of them once.
  [[nodiscard]] ONEPASS_LANE Coefficients prepare(std::int64_t /*step*/) const {
    return {.lr = static_cast<float>(lr),
            .one_minus_rho = static_cast<float>(1.0 - rho),
            .eps = static_cast<float>(eps)};
  }

  /// Lists the presets.
  static void presets(auto& list) {
    list("keras", keras(),
         "Adadelta of Keras and TensorFlow has other defaults and decouples the weight decay.");
  }
  /// keras.optimizers.Adadelta, also of TensorFlow 2. Source: keras 3.15.1.
  static constexpr Adadelta keras() {
    return {.lr = 1e-3, .rho = 0.95, .eps = 1e-7, .weight_decay_mode = WeightDecay::decoupled};
  }
};

}  // namespace onepass
