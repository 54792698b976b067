// perturb.hpp - how SAM and ASAM move the parameters of a table to a place nearby, and what is kept until
// they are put back.
#pragma once

#include <cstdint>

#include "step/decide_step.hpp"
#include "step/shard_measure.hpp"
#include "step/table.hpp"

namespace onepass::step {

/// What is kept of a tensor while its parameter is perturbed.
struct KeptTensor {
  void* param;             ///< The bits of the parameter.
  void* copy;              ///< The bits of the caller's 16-bit copy; null if there is none.
  std::uint64_t is_moved;  ///< 1: both are to be put back.
};

/// What one call leaves for the next one, in the memory of the device. Starts as PerturbState::none().
struct PerturbState {
  Reduction squares;  ///< Sum of the squares of term(); empty but from its measure to the perturbation.
  std::uint32_t blocks_done;   ///< Thread blocks that are done with a perturbation or a restoration.
  std::uint32_t is_perturbed;  ///< 1: the tensors that are moved are not where training left them.

  static PerturbState none() { return {Reduction::none(), 0, 0}; }
};

/// The arguments of a perturbation. A captured graph keeps them.
struct Perturbation {
  KeptTensor* kept;  ///< One per tensor.
  PerturbState* state;
  double rho;
  float eta;
  std::uint32_t is_adaptive;  ///< 1: ASAM, 0: SAM.
};

/// Added to the norm, as in the papers' code.
inline constexpr double kPerturbEps = 1e-12;

/// Returns the term of an element whose squares make the norm: the gradient, which ASAM multiplies by the
/// size of the parameter.
template <bool kAdaptive>
ONEPASS_LANE float term(float eta, float p, float g) {
  if constexpr (kAdaptive) {
    return (lane::abs(p) + eta) * g;
  } else {
    return g;
  }
}

/// What all elements are moved by. The coefficient of a term is factor * power, where power is 1, or a small
/// power of two: then the product would be a denormal, and would lack digits.
struct Push {
  float factor;  ///< 0: nothing moves.
  float power;

  /// Returns where an element with the parameter p and the gradient g moves to.
  template <bool kAdaptive>
  [[nodiscard]] ONEPASS_LANE float moved(float eta, float p, float g) const {
    const float x = power * term<kAdaptive>(eta, p, g);
    if constexpr (kAdaptive) {
      // x * factor is at most rho, so nothing overflows here that the measure has found finite.
      return lane::fma(lane::abs(p) + eta, factor * x, p);
    } else {
      return lane::fma(factor, x, p);
    }
  }
};

/// Returns what the elements are moved by. It is nothing if the norm, or the factor that takes the loss scale
/// out of the gradients, is 0 or not finite. Every thread block may call this: it changes nothing.
ONEPASS_LANE Push push_of(const Table& table, const Perturbation& how) {
  const double unscale = unscale_of(table);
  const double measured = lane::sqrt(value_of(how.state->squares, Measure::exact_squares));
  const double norm = lane::abs(unscale) * measured;
  const double factor = how.rho * unscale / (norm + kPerturbEps);
  const bool moves = norm > 0.0 && norm <= __DBL_MAX__ && lane::abs(factor) <= double{__FLT_MAX__};
  if (!moves) return {0.0f, 1.0f};
  if (lane::abs(factor) < 0x1p-100) return {static_cast<float>(factor * 0x1p64), 0x1p-64f};
  return {static_cast<float>(factor), 1.0f};
}

/// Returns whether a perturbation moves a tensor.
ONEPASS_LANE bool is_moved(const Table& table, const Push& push, std::int64_t tensor) {
  return push.factor != 0.0f && measured_gradient(table, tensor) != nullptr;
}

/// Ends a perturbation, after every tensor is moved: notes which ones are, drops the sums of micro-batches,
/// and empties the measure. Each of `threads` threads calls this once and concludes its share of the tensors.
ONEPASS_LANE void conclude_perturbation(const Table& table, const Perturbation& how, const Push& push,
                                        std::int64_t thread, std::int64_t threads) {
  for (std::int64_t t = thread; t < table.tensor_count; t += threads) {
    how.kept[t].is_moved = is_moved(table, push, t) ? 1 : 0;
    if (table.incoming != nullptr) table.accumulated[t] = 0;
  }
  if (thread != 0) return;
  how.state->is_perturbed = 1;
  how.state->squares = Reduction::none();
  if (table.incoming == nullptr) return;
  Progress& progress = table.control->progress;
  progress.micro_batches = 0;
  progress.accumulated_weight = 0.0;
  progress.window_scale = 0.0f;
}

/// Moves the measure into the caller's memory, or takes that of all shards from there. One thread calls this.
/// With a term that is not finite all digits are 0: what is added beside it depends on the device.
ONEPASS_LANE void give_squares(const Perturbation& how, std::int64_t* words) {
  Reduction& squares = how.state->squares;
  if ((squares.infinite | squares.nan) != 0) {
    squares = Reduction::none();
    squares.nan = 1;
  }
  pack(squares, declared_global(words), kSumWords);
  squares = Reduction::none();
}
ONEPASS_LANE void take_squares(const Perturbation& how, const std::int64_t* words) {
  how.state->squares = unpacked(declared_global(words), kSumWords);
}

}  // namespace onepass::step
