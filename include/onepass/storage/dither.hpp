// dither.hpp - the noise for stochastic rounding: cheap, uniform, and evenly spread within a block.
#pragma once

#include <cstdint>

#include "onepass/arithmetic/bits.hpp"

namespace onepass::storage {

/// Elements of a block. They share one half of random bits, and one scale if they are quantised.
inline constexpr int kBlock = 32;

/// The noise with which the elements of a block are rounded.
///
/// Element i has the noise half + i * g modulo 2^16, where `half` is 16 random bits and g is 2^16 times the
/// golden ratio's fraction. Each element's noise is uniform and independent from step to step, so each
/// element is rounded without bias. Within a block the 32 values are spread evenly, so errors of neighbours
/// cancel sooner than independent errors would. It costs one addition and half a bit of randomness per
/// element; a generator for each element would cost more than the rest of the step's arithmetic.
class Dither {
 public:
  /// Takes 16 uniform random bits. Use different bits for every block, stream and step.
  explicit constexpr ONEPASS_LANE Dither(std::uint16_t half) : upper_(Bits{half} << 16) {}
  explicit Dither(Bits word) = delete;  // It would not be clear which half of the word is meant.
  /// Takes the upper half of a word. The lower half may be arbitrary; it does not affect the noise.
  [[nodiscard]] static constexpr ONEPASS_LANE Dither of_upper(Bits word) { return {word, Upper{}}; }

  /// Returns i * g for element i in the upper half of a word, with 0 in the lower half.
  [[nodiscard]] static constexpr ONEPASS_LANE Bits turn(int element) {
    return static_cast<Bits>(element) * kGolden;
  }
  /// Returns a word with the first element's noise in its upper half. The lower half is arbitrary.
  [[nodiscard]] constexpr ONEPASS_LANE Bits upper() const { return upper_; }
  /// Returns the first element's noise, 16 bits.
  [[nodiscard]] constexpr ONEPASS_LANE std::uint16_t half() const {
    return static_cast<std::uint16_t>(upper_ >> 16);
  }

  /// Returns the upper kBits bits of an element's noise.
  template <int kBits>
  [[nodiscard]] constexpr ONEPASS_LANE Bits at(int element) const {
    static_assert(kBits <= 16);
    return from(element).upper_ >> (32 - kBits);
  }
  /// Returns the noise of the same block with `element` as its first element.
  [[nodiscard]] constexpr ONEPASS_LANE Dither from(int element) const {
    return of_upper(upper_ + turn(element));
  }

 private:
  struct Upper {};
  constexpr ONEPASS_LANE Dither(Bits word, Upper /*half*/) : upper_(word) {}

  /// g, in the upper half of a word.
  static constexpr Bits kGolden = 0x9E370000u;

  Bits upper_;  ///< The first element's noise, in the upper half. The lower half is arbitrary.
};

}  // namespace onepass::storage
