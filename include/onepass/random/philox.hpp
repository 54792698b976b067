// philox.hpp - Philox4x32-10: random bits as a function of the place where they are used.
#pragma once

#include <cstdint>

#include "onepass/arithmetic/lane.hpp"

namespace onepass::random {

/// The use of random bits. Draws for two purposes have different counters, whatever their other numbers are.
enum class Purpose : std::uint16_t {
  rounding,        ///< Stochastic rounding of parameters and states: each block of 32 elements takes halves.
  ema,             ///< Stochastic rounding of a moving average of parameters, in the same way.
  dropout,         ///< Dropout masks.
  initialization,  ///< Initial values of parameters.
};

/// The counter of one draw of 128 random bits. Counter and seed determine the bits. No state is carried from
/// one draw to the next, so any part of a tensor can be drawn anywhere and in any order.
struct Counter {
  std::uint64_t draw;  ///< Number of the draw in the tensor, below 2^48: element / 4 for 32 bits an element.
  Purpose purpose;
  std::uint32_t step;    ///< Number of the training step, or of another repetition.
  std::uint32_t tensor;  ///< Number of the tensor, or of the dropout site.
};

/// Largest number of elements of a tensor. A draw has four words, and there are 2^48 draws.
inline constexpr std::int64_t kMostElements = std::int64_t{1} << 50;

/// The four words of a draw, in Random123's order.
struct Words {
  std::uint32_t word[4];
};

/// Number of 16-bit halves of a draw. Half h starts at bit 16 * (h % 2) of word h / 2, which is the order
/// that a little-endian machine has in memory.
inline constexpr int kHalves = 8;

/// Returns the counter in Philox's form, from the lowest word on: Counter::draw (48 bits), purpose (16),
/// step, tensor.
ONEPASS_LANE Words pack(const Counter& counter) {
  const auto high = static_cast<std::uint32_t>(counter.draw >> 32) & 0xffffu;
  return {{static_cast<std::uint32_t>(counter.draw), high | static_cast<std::uint32_t>(counter.purpose) << 16,
           counter.step, counter.tensor}};
}

/// Number of rounds.
inline constexpr int kRounds = 10;
/// Philox's multipliers.
inline constexpr std::uint32_t kMultiplier0 = 0xD2511F53u, kMultiplier1 = 0xCD9E8D57u;
/// Increments of the two key words after each round.
inline constexpr std::uint32_t kWeyl0 = 0x9E3779B9u, kWeyl1 = 0xBB67AE85u;

/// Returns the words of a draw: Philox4x32 with 10 rounds, for each seed a bijection of the counter. The low
/// word of the seed is the first word of the key.
/// Source: Salmon, Moraes, Dror, Shaw, "Parallel random numbers: as easy as 1, 2, 3", SC 2011. Deviations:
/// none; it is Random123's philox4x32_R(10) and cuRAND's curand_Philox4x32_10, bit for bit.
ONEPASS_LANE Words philox(std::uint64_t seed, Words counter) {
  std::uint32_t c0 = counter.word[0], c1 = counter.word[1], c2 = counter.word[2], c3 = counter.word[3];
  auto k0 = static_cast<std::uint32_t>(seed), k1 = static_cast<std::uint32_t>(seed >> 32);
#ifdef __CUDA_ARCH__
#pragma unroll
#elif !defined(__CUDACC__)
#pragma GCC unroll 10
#endif
  for (int round = 0; round < kRounds; ++round) {
    const std::uint64_t product0 = std::uint64_t{kMultiplier0} * c0;
    const std::uint64_t product1 = std::uint64_t{kMultiplier1} * c2;
    c0 = static_cast<std::uint32_t>(product1 >> 32) ^ c1 ^ k0;
    c1 = static_cast<std::uint32_t>(product1);
    c2 = static_cast<std::uint32_t>(product0 >> 32) ^ c3 ^ k1;
    c3 = static_cast<std::uint32_t>(product0);
    k0 += kWeyl0;
    k1 += kWeyl1;
  }
  return {{c0, c1, c2, c3}};
}

/// Returns the words of the draw with this counter.
ONEPASS_LANE Words philox(std::uint64_t seed, const Counter& counter) { return philox(seed, pack(counter)); }

}  // namespace onepass::random
