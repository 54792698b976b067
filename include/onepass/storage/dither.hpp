// dither.hpp - the noise that numbers are rounded with: cheap, uniform, and even among neighbours.
#pragma once

#include <cstdint>

#include "onepass/storage/bits.hpp"

namespace onepass::storage {

/// Elements that share a word of random bits, and a scale where they are quantised.
inline constexpr int kGroup = 32;

/// What a group's elements are rounded with. One random word turns a lattice, multiples of the golden section
/// of the circle: each element's noise is uniform and, from step to step, independent; so each is rounded
/// without bias. Among each other the 32 lie evenly, so that errors of neighbours cancel sooner than
/// independent ones. It takes an addition an element, and of 16 bits, where a generator for each would cost
/// more than the step's other arithmetic.
struct Dither {
  std::uint32_t random;  ///< 32 uniform bits, other ones for each group, stream and step.

  /// The golden section of 2^32, to 16 bits: so many are used, and fewer lanes' additions make them.
  static constexpr std::uint32_t kGolden = 0x9E370000u;

  /// The upper kBits.
  template <int kBits>
  [[nodiscard]] constexpr ONEPASS_LANE Bits at(int element) const {
    return from(element).random >> (32 - kBits);
  }
  /// The same noise, counted from another element of the group on.
  [[nodiscard]] constexpr ONEPASS_LANE Dither from(int element) const {
    return {random + static_cast<std::uint32_t>(element) * kGolden};
  }
};

}  // namespace onepass::storage
