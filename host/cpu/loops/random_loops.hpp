// random_loops.hpp - the CPU loops that draw random bits, and the reflection of a tile (orthogonal
// initializer). Compiled once for each instruction set, with the flags of the update loops
// (cmake/OnepassRandom.cmake).
#pragma once

#include <cstdint>

#include "host/cpu/codecs/philox_words.hpp"
#include "host/cpu/random.hpp"
#include "onepass/storage/float32.hpp"

// Internal linkage: loops/update.hpp says why.
namespace onepass::cpu {
namespace {

using initializers::Distribution;
using initializers::DistributionKind;
using Codec = storage::Float32;

/// The loops draw kWordsAtOnce words at a time, one for each element, from an element `start` on that is a
/// multiple of kWordsAtOnce. A job uses the words [begin, end) of them.
struct WordsPart {
  std::int64_t start;
  int begin, end;
};

/// The words for the elements of a job from its element `done` on.
inline WordsPart part_at(const step::ElementRange& range, std::int64_t done) {
  const std::int64_t at = range.first + done;
  const auto begin = static_cast<int>(at % kWordsAtOnce);
  const std::int64_t left = range.count - done;
  return {at - begin, begin, left < kWordsAtOnce - begin ? begin + static_cast<int>(left) : kWordsAtOnce};
}

/// Turns kWordsAtOnce words into numbers of the distribution. `first_draw` is the number of the first draw in
/// the tensor.
template <DistributionKind kKind>
void draw_values(const Distribution& from, std::int64_t first_draw, const std::uint32_t* __restrict words,
                 float* __restrict values) {
  const Distribution local = from;
  if constexpr (initializers::kFromOneWord<kKind>) {
    for (int i = 0; i < kWordsAtOnce; ++i) values[i] = initializers::draw_one<kKind>(local, words[i]);
  } else {
    for (int d = 0; d < kDrawsAtOnce; ++d) {
      const random::Words drawn{{words[4 * d], words[4 * d + 1], words[4 * d + 2], words[4 * d + 3]}};
      float four[initializers::kDrawWords];
      initializers::draw<kKind>(local, first_draw + d, drawn, four);
      for (int i = 0; i < initializers::kDrawWords; ++i) values[4 * d + i] = four[i];
    }
  }
}

template <DistributionKind kKind>
void fill_as(const step::FillJob& job) {
  constexpr bool kDraws = kKind != DistributionKind::constant && kKind != DistributionKind::dirac;
  alignas(64) std::uint32_t words[kWordsAtOnce] = {};
  alignas(64) float values[kWordsAtOnce];
  for (std::int64_t done = 0; done < job.range.count;) {
    const WordsPart part = part_at(job.range, done);
    const std::int64_t draw = part.start / initializers::kDrawWords;
    if constexpr (kDraws) {
      philox_words_at_once(job.seed,
                           initializers::initialization_counter(static_cast<std::uint64_t>(draw), job.tensor),
                           words);
    }
    draw_values<kKind>(job.distribution, draw, words, values);
    Codec::Element* const out = job.out + done;
    for (int i = part.begin; i < part.end; ++i) out[i - part.begin] = Codec::encode(values[i]);
    done += part.end - part.begin;
  }
}

/// RandomLoops::fill.
inline void fill(const step::FillJob& job) {
  switch (job.distribution.kind) {
    case DistributionKind::uniform:
      return fill_as<DistributionKind::uniform>(job);
    case DistributionKind::normal:
      return fill_as<DistributionKind::normal>(job);
    case DistributionKind::truncated_normal:
      return fill_as<DistributionKind::truncated_normal>(job);
    case DistributionKind::dirac:
      return fill_as<DistributionKind::dirac>(job);
    default:
      return fill_as<DistributionKind::constant>(job);
  }
}

/// Drops `count` elements. `out` may be the same array as `in` or `residual`, which ivdep allows.
inline void drop(const regularizers::DropoutCoefficients k, const std::uint32_t* words, Codec::Element* out,
                 const Codec::Element* in, int count) {
#pragma GCC ivdep
  for (int i = 0; i < count; ++i) out[i] = Codec::encode(k.apply(Codec::decode(in[i]), words[i]));
}
inline void drop(const regularizers::DropoutCoefficients k, const std::uint32_t* words, Codec::Element* out,
                 const Codec::Element* in, const Codec::Element* residual, int count) {
#pragma GCC ivdep
  for (int i = 0; i < count; ++i) {
    out[i] = Codec::encode(k.apply(Codec::decode(in[i]), words[i], Codec::decode(residual[i])));
  }
}

/// RandomLoops::dropout.
inline void dropout(const step::DropoutJob& job) {
  const RandomPosition position = *job.state;
  alignas(64) std::uint32_t words[kWordsAtOnce];
  for (std::int64_t done = 0; done < job.range.count;) {
    const WordsPart part = part_at(job.range, done);
    const auto draw = static_cast<std::uint64_t>(part.start / initializers::kDrawWords);
    philox_words_at_once(position.key(), regularizers::dropout_counter(position, draw, job.site), words);
    const int count = part.end - part.begin;
    if (job.residual == nullptr) {
      drop(job.coefficients, words + part.begin, job.out + done, job.in + done, count);
    } else {
      drop(job.coefficients, words + part.begin, job.out + done, job.in + done, job.residual + done, count);
    }
    done += count;
  }
}

/// RandomLoops::reflect. The sums over the rows run in kSums interleaved parts, which hide the latency of an
/// addition. Their order is the same whatever the width of a vector.
inline void reflect(const Reflection& reflection, double* __restrict tile) {
  constexpr int kSums = 4;
  const double* __restrict const v = reflection.vector;
  double sums[kSums][kTileColumns] = {};
  std::int64_t i = 0;
  for (; i + kSums <= reflection.rows; i += kSums) {
    for (int s = 0; s < kSums; ++s) {
      for (int j = 0; j < kTileColumns; ++j) sums[s][j] += v[i + s] * tile[(i + s) * kTileColumns + j];
    }
  }
  for (int s = 0; i < reflection.rows; ++i, ++s) {
    for (int j = 0; j < kTileColumns; ++j) sums[s][j] += v[i] * tile[i * kTileColumns + j];
  }
  double product[kTileColumns];
  for (int j = 0; j < kTileColumns; ++j) {
    product[j] = reflection.scale * ((sums[0][j] + sums[1][j]) + (sums[2][j] + sums[3][j]));
  }
  for (i = 0; i < reflection.rows; ++i) {
    for (int j = 0; j < kTileColumns; ++j) tile[i * kTileColumns + j] -= v[i] * product[j];
  }
}

constexpr RandomLoops kLoops{fill, dropout, reflect};

}  // namespace
}  // namespace onepass::cpu
