// random_reference.hpp - a second implementation of the random words and of the numbers made from them,
// written from the papers: Philox as in Salmon et al. 2011, the formulas in long double.
#pragma once

#include <array>
#include <cmath>
#include <cstdint>
#include <numbers>

namespace onepass::test::reference {

using Long = long double;

/// Numbers of the purposes in a counter. The tests repeat them, because they must never change: other numbers
/// would draw other bits.
constexpr std::uint64_t kRounding = 0, kEma = 1, kDropout = 2, kInitialization = 3;

inline std::array<std::uint32_t, 4> philox(std::uint64_t key, std::array<std::uint32_t, 4> c) {
  std::array<std::uint32_t, 2> k{static_cast<std::uint32_t>(key & 0xffffffff),
                                 static_cast<std::uint32_t>(key >> 32)};
  for (int round = 1; round <= 10; ++round) {
    const std::uint64_t a = 0xD2511F53ull * c[0], b = 0xCD9E8D57ull * c[2];
    c = {static_cast<std::uint32_t>(b >> 32) ^ c[1] ^ k[0], static_cast<std::uint32_t>(b),
         static_cast<std::uint32_t>(a >> 32) ^ c[3] ^ k[1], static_cast<std::uint32_t>(a)};
    k[0] += 0x9E3779B9u;
    k[1] += 0xBB67AE85u;
  }
  return c;
}

/// Everything that selects an element's word, except the element's index.
struct Place {
  std::uint64_t seed, purpose;
  std::uint32_t step, tensor;
};

inline std::uint32_t word(const Place& place, std::uint64_t element) {
  const std::uint64_t low = (element / 4) | (place.purpose << 48);
  return philox(place.seed, {static_cast<std::uint32_t>(low & 0xffffffff),
                             static_cast<std::uint32_t>(low >> 32), place.step, place.tensor})[element % 4];
}

/// Half number `number` of the same words. Each word yields its lower 16 bits first, then its upper 16.
inline std::uint16_t half(const Place& place, std::uint64_t number) {
  const std::uint32_t both = word(place, number / 2);
  return static_cast<std::uint16_t>(number % 2 == 0 ? both & 0xffff : both >> 16);
}

/// The 16 bits with which element `i` of a block of 32 is rounded. The block draws one half; each element
/// adds the golden section of 2^16 to the value of the element before it, modulo 2^16.
inline std::uint32_t noise(std::uint16_t half, std::uint64_t i) {
  return static_cast<std::uint32_t>((half + i * 0x9E37) & 0xffff);
}

inline Long open(std::uint32_t word) { return (static_cast<Long>(word) + 0.5L) / 0x1p32L; }

/// Box-Muller: the two elements of a pair share a radius and an angle, and take the cosine and the sine.
inline Long normal(const Place& place, std::uint64_t element) {
  const std::uint64_t even = element / 2 * 2;
  const Long radius = std::sqrt(-2 * std::log(open(word(place, even))));
  const Long angle = 2 * std::numbers::pi_v<Long> * open(word(place, even + 1));
  return radius * (element % 2 == 0 ? std::cos(angle) : std::sin(angle));
}

/// Share of the standard normal distribution below x.
inline Long share_below(Long x) { return std::erfc(-x / std::numbers::sqrt2_v<Long>) / 2; }

/// Quantile `u` of the standard normal distribution truncated to [low, high], found by bisection.
inline Long truncated_normal(Long u, Long low, Long high) {
  const bool mirrored = low > 0;  // in the lower tail shares are small and keep all their digits
  const Long left = mirrored ? -high : low, right = mirrored ? -low : high;
  const Long wanted = share_below(left) + (mirrored ? 1 - u : u) * (share_below(right) - share_below(left));
  Long a = left, b = right;
  for (int i = 0; i < 80; ++i) {
    const Long middle = (a + b) / 2;
    (share_below(middle) < wanted ? a : b) = middle;
  }
  return mirrored ? -a : a;
}

}  // namespace onepass::test::reference
