// dither.hpp - the noise that numbers are rounded with: cheap, uniform, and even among neighbours.
#pragma once

#include <cstdint>

#include "onepass/arithmetic/bits.hpp"

namespace onepass::storage {

/// Elements that share a half word of random bits, and a scale where they are quantised.
inline constexpr int kBlock = 32;

/// What a group's elements are rounded with. 16 random bits turn a lattice, multiples of the golden section
/// of the circle: each element's noise is uniform and, from step to step, independent; so each is rounded
/// without bias. Among each other the 32 lie evenly, so that errors of neighbours cancel sooner than
/// independent ones. It takes an addition an element, and of 16 bits, where a generator for each would cost
/// more than the step's other arithmetic.
class Dither {
 public:
  /// Of 16 uniform bits, other ones for each group, stream and step.
  explicit constexpr ONEPASS_LANE Dither(std::uint16_t half) : upper_(Bits{half} << 16) {}
  explicit Dither(Bits word) = delete;  // which half?
  /// Of the upper half of a word, of which the lower may be any: it has no part in a noise.
  [[nodiscard]] static constexpr ONEPASS_LANE Dither of_upper(Bits word) { return {word, Upper{}}; }

  /// What an element adds to the upper half of a word, and to the lower nothing.
  [[nodiscard]] static constexpr ONEPASS_LANE Bits turn(int element) {
    return static_cast<Bits>(element) * kGolden;
  }
  /// The noise of the first element, in the upper half of a word.
  [[nodiscard]] constexpr ONEPASS_LANE Bits upper() const { return upper_; }
  [[nodiscard]] constexpr ONEPASS_LANE std::uint16_t half() const {
    return static_cast<std::uint16_t>(upper_ >> 16);
  }

  /// The upper kBits of an element's.
  template <int kBits>
  [[nodiscard]] constexpr ONEPASS_LANE Bits at(int element) const {
    static_assert(kBits <= 16);
    return from(element).upper_ >> (32 - kBits);
  }
  /// The same noise, counted from another element of the group on.
  [[nodiscard]] constexpr ONEPASS_LANE Dither from(int element) const {
    return of_upper(upper_ + turn(element));
  }

 private:
  struct Upper {};
  constexpr ONEPASS_LANE Dither(Bits word, Upper /*half*/) : upper_(word) {}

  /// The golden section of 2^16, as an upper half.
  static constexpr Bits kGolden = 0x9E370000u;

  Bits upper_;  ///< In its upper half; the lower is any.
};

}  // namespace onepass::storage
