// distribution.hpp - the distribution that an initializer derives from a shape, and how elements are drawn
// from it. The CPU loop and the CUDA kernel both call draw().
#pragma once

#include <cstdint>

#include "onepass/arithmetic/lane.hpp"
#include "onepass/random/normal.hpp"
#include "onepass/random/philox.hpp"
#include "onepass/random/truncated_normal.hpp"
#include "onepass/random/uniform.hpp"

namespace onepass::initializers {

/// The kinds of Distribution.
enum class DistributionKind : std::uint32_t {
  constant,
  uniform,
  normal,
  truncated_normal,
  dirac,
  orthogonal
};

/// Positions of the ones of Dirac and Eye: elements whose input channel equals their output channel (both
/// counted within the channel group) and which are at the centre of the convolution's window.
struct DiracPlaces {
  std::int64_t outputs_per_group;  ///< Output channels of a channel group.
  std::int64_t inputs;             ///< Input channels of a channel group.
  std::int64_t window;             ///< Elements of one convolution window.
  std::int64_t centre;             ///< Index of the window's centre, counted from its first element.
};

/// A distribution as plain data, passed to the CUDA kernel by value. Each kind uses only the members that
/// name it.
struct Distribution {
  DistributionKind kind = DistributionKind::constant;
  double mean = 0.0;                ///< normal: the mean; constant: the value.
  double std = 0.0;                 ///< normal: the standard deviation; orthogonal: the gain.
  random::Interval interval{};      ///< uniform: the bounds.
  random::Truncation truncation{};  ///< truncated_normal: the distribution and its bounds.
  DiracPlaces places{};             ///< dirac: the positions of the ones.
};

/// Returns the same value everywhere. Like uniform() and normal(), it throws nothing: the initializers check
/// the numbers.
Distribution constant(double value);
/// Returns the uniform distribution over [low, high), with the bounds rounded to float32.
Distribution uniform(double low, double high);
/// Returns the normal distribution with this mean and standard deviation.
Distribution normal(double mean, double std);
/// Returns the normal distribution cut off at a and b. Throws InvalidArgument if less than 1e-290 of it lies
/// in [a, b].
Distribution truncated_normal(double mean, double std, double a, double b);

/// Words of one Philox draw, and so the number of elements that one call of draw() fills.
inline constexpr int kDrawWords = 4;

/// Returns the counter of a tensor's draw number `index`, which fills elements 4 * index to 4 * index + 3.
ONEPASS_LANE random::Counter initialization_counter(std::uint64_t index, std::uint32_t tensor) {
  return {index, random::Purpose::initialization, 0, tensor};
}

/// Returns element number `element` of a Dirac or Eye tensor.
ONEPASS_LANE float dirac(const DiracPlaces& places, std::int64_t element) {
  const std::int64_t at = element % places.window;
  const std::int64_t channel = element / places.window;
  const std::int64_t input = channel % places.inputs;
  const std::int64_t output = channel / places.inputs % places.outputs_per_group;
  return output == input && at == places.centre ? 1.0f : 0.0f;
}

/// True if an element depends on its own word only.
template <DistributionKind kKind>
inline constexpr bool kFromOneWord =
    kKind == DistributionKind::constant || kKind == DistributionKind::uniform ||
    kKind == DistributionKind::truncated_normal;

/// Draws one element from its word, for the kinds of kFromOneWord.
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

/// Draws the four elements of draw number `index` from its words. `from` must be of kind kKind.
template <DistributionKind kKind>
ONEPASS_LANE void draw(const Distribution& from, std::int64_t index, const random::Words& words,
                       float (&values)[kDrawWords]) {
  if constexpr (kKind == DistributionKind::normal) {
    const random::NormalPair first = random::normal_pair(words.word[0], words.word[1]);
    const random::NormalPair second = random::normal_pair(words.word[2], words.word[3]);
    values[0] = static_cast<float>(lane::fma(from.std, first.first, from.mean));
    values[1] = static_cast<float>(lane::fma(from.std, first.second, from.mean));
    values[2] = static_cast<float>(lane::fma(from.std, second.first, from.mean));
    values[3] = static_cast<float>(lane::fma(from.std, second.second, from.mean));
  } else if constexpr (kKind == DistributionKind::dirac) {
    for (int i = 0; i < kDrawWords; ++i) values[i] = dirac(from.places, kDrawWords * index + i);
  } else {
    for (int i = 0; i < kDrawWords; ++i) values[i] = draw_one<kKind>(from, words.word[i]);
  }
}

}  // namespace onepass::initializers
