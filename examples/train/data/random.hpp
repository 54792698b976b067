// random.hpp - random orders that are the same on every machine and standard library.
#pragma once

#include <bit>
#include <cstdint>
#include <span>
#include <utility>

namespace train {

/// SplitMix64 (Steele, Lea and Flood 2014). Each (seed, index) starts its own sequence, so the order of epoch
/// 7 is known without drawing the six orders before it, and a saved run need not store a generator. Weights
/// and dropout masks do not come from here: onepass draws them by Philox.
class Random {
 public:
  Random(std::uint64_t seed, std::uint64_t index) : state_(mix(mix(seed) + index)) {}

  std::uint64_t next() { return mix(state_ += kGolden); }

  /// Returns a number uniform in [0, bound), bound > 0. Rejects numbers outside instead of taking a
  /// remainder, so there is no modulo bias.
  std::uint64_t below(std::uint64_t bound) {
    const std::uint64_t mask = std::bit_ceil(bound) - 1;
    std::uint64_t drawn = next() & mask;
    while (drawn >= bound) drawn = next() & mask;
    return drawn;
  }

 private:
  static constexpr std::uint64_t kGolden = 0x9e3779b97f4a7c15;

  static constexpr std::uint64_t mix(std::uint64_t z) {
    z = (z ^ (z >> 30)) * 0xbf58476d1ce4e5b9;
    z = (z ^ (z >> 27)) * 0x94d049bb133111eb;
    return z ^ (z >> 31);
  }

  std::uint64_t state_;
};

/// Shuffles items so that every order is equally likely (Fisher and Yates).
template <class T>
void shuffle(std::span<T> items, Random& random) {
  for (std::size_t left = items.size(); left > 1; --left) {
    std::swap(items[left - 1], items[random.below(left)]);
  }
}

}  // namespace train
