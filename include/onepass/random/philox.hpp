// philox.hpp - random bits that are a function of where they are used: Philox4x32-10.
#pragma once

#include <cstdint>

#include "onepass/arithmetic/lane.hpp"

namespace onepass::random {

/// What random bits are drawn for. Two purposes never share a bit, whatever their other numbers.
enum class Purpose : std::uint16_t {
  rounding,        ///< Of parameters and states, stochastically: half words, each for 32 elements.
  ema,             ///< Of a moving average of parameters, the same.
  dropout,         ///< Masks.
  initialization,  ///< Weights before the first step.
};

/// The place of 128 random bits. Together with the seed it names them: nothing is carried from one draw to
/// the next, so any part of a tensor can be drawn anywhere, in any order.
struct Counter {
  std::uint64_t block;  ///< Below 2^48. Element / 4 where an element takes 32 bits.
  Purpose purpose;
  std::uint32_t step;    ///< Of the training, or of whatever else repeats.
  std::uint32_t tensor;  ///< Number of the tensor, or of the site.
};

/// Elements of the largest tensor: a block of four 32-bit draws for each four.
inline constexpr std::int64_t kMostElements = std::int64_t{1} << 50;

/// Four words, in the order in which Random123 has them.
struct Words {
  std::uint32_t word[4];
};

/// The same as 16-bit halves: half h is bits 16 * (h % 2) and on of word h / 2, as a little-endian machine
/// has them in memory.
inline constexpr int kHalves = 8;

/// The counter as Philox takes it, from the lowest word on: block (48 bits), purpose (16), step, tensor.
ONEPASS_LANE Words pack(const Counter& counter) {
  const auto high = static_cast<std::uint32_t>(counter.block >> 32) & 0xffffu;
  return {{static_cast<std::uint32_t>(counter.block),
           high | static_cast<std::uint32_t>(counter.purpose) << 16, counter.step, counter.tensor}};
}

/// Philox's constants: the multipliers of a round, and what the key grows by.
inline constexpr int kRounds = 10;
inline constexpr std::uint32_t kMultiplier0 = 0xD2511F53u, kMultiplier1 = 0xCD9E8D57u;
inline constexpr std::uint32_t kWeyl0 = 0x9E3779B9u, kWeyl1 = 0xBB67AE85u;

/// Philox4x32 with 10 rounds: a bijection of the counter for each seed. The seed's low word is the first word
/// of the key.
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

ONEPASS_LANE Words philox(std::uint64_t seed, const Counter& counter) { return philox(seed, pack(counter)); }

}  // namespace onepass::random
