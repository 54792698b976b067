// distribution.hpp - what an initializer makes of a shape: plain numbers, and how elements are drawn from
// them. The CPU loop and the CUDA kernel both call draw().
#pragma once

#include <cstdint>

#include "onepass/arithmetic/lane.hpp"
#include "onepass/random/normal.hpp"
#include "onepass/random/philox.hpp"
#include "onepass/random/truncated_normal.hpp"
#include "onepass/random/uniform.hpp"

namespace onepass::initializers {

enum class DistributionKind : std::uint32_t {
  constant,
  uniform,
  normal,
  truncated_normal,
  dirac,
  orthogonal
};

/// Ones where the input channel is the output channel (within its group) and the kernel is at its centre.
struct DiracPlaces {
  std::int64_t outputs_per_group;
  std::int64_t inputs;  ///< Of a group.
  std::int64_t window;  ///< Elements of one kernel.
  std::int64_t centre;  ///< Of the window, from its first element.
};

/// Plain data, passed to the kernel by value. Only what the kind asks for means anything.
struct Distribution {
  DistributionKind kind = DistributionKind::constant;
  double mean = 0.0;                ///< constant: the value; normal.
  double std = 0.0;                 ///< normal; orthogonal: the gain.
  random::Interval interval{};      ///< uniform
  random::Truncation truncation{};  ///< truncated_normal
  DiracPlaces places{};             ///< dirac
};

/// A constructor for each kind. Throw nothing: the numbers are checked where they come from.
Distribution constant(double value);
Distribution uniform(double low, double high);
Distribution normal(double mean, double std);
/// Throws InvalidArgument if less than 1e-290 of the distribution lies in [a, b].
Distribution truncated_normal(double mean, double std, double a, double b);

/// Elements of one Philox block, which one call draws.
inline constexpr int kBlock = 4;

/// The counter of the block that element 4 * block of a tensor starts.
ONEPASS_LANE random::Counter initialization_counter(std::uint64_t block, std::uint32_t tensor) {
  return {block, random::Purpose::initialization, 0, tensor};
}

ONEPASS_LANE float dirac(const DiracPlaces& places, std::int64_t element) {
  const std::int64_t at = element % places.window;
  const std::int64_t channel = element / places.window;
  const std::int64_t input = channel % places.inputs;
  const std::int64_t output = channel / places.inputs % places.outputs_per_group;
  return output == input && at == places.centre ? 1.0f : 0.0f;
}

/// Whether an element needs nothing but its own word.
template <DistributionKind kKind>
inline constexpr bool kFromOneWord =
    kKind == DistributionKind::constant || kKind == DistributionKind::uniform ||
    kKind == DistributionKind::truncated_normal;

template <DistributionKind kKind>
ONEPASS_LANE float draw_one(const Distribution& from, std::uint32_t word) {
  if constexpr (kKind == DistributionKind::uniform) {
    return random::uniform(from.interval, word);
  } else if constexpr (kKind == DistributionKind::truncated_normal) {
    return random::truncated_normal(from.truncation, word);
  } else {
    return static_cast<float>(from.mean);
  }
}

/// The four elements of a block, of the kind that is asked for. `words` are the block's.
template <DistributionKind kKind>
ONEPASS_LANE void draw(const Distribution& from, std::int64_t block, const random::Words& words,
                       float (&values)[kBlock]) {
  if constexpr (kKind == DistributionKind::normal) {
    const random::NormalPair first = random::normal_pair(words.word[0], words.word[1]);
    const random::NormalPair second = random::normal_pair(words.word[2], words.word[3]);
    values[0] = static_cast<float>(lane::fma(from.std, first.first, from.mean));
    values[1] = static_cast<float>(lane::fma(from.std, first.second, from.mean));
    values[2] = static_cast<float>(lane::fma(from.std, second.first, from.mean));
    values[3] = static_cast<float>(lane::fma(from.std, second.second, from.mean));
  } else if constexpr (kKind == DistributionKind::dirac) {
    for (int i = 0; i < kBlock; ++i) values[i] = dirac(from.places, kBlock * block + i);
  } else {
    for (int i = 0; i < kBlock; ++i) values[i] = draw_one<kKind>(from, words.word[i]);
  }
}

}  // namespace onepass::initializers
