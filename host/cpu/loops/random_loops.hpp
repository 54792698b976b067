// random_loops.hpp - the CPU's loops over Philox blocks, and the reflection of a tile. Compiled once for each
// instruction set, with the flags of the sweeps (cmake/OnepassRandom.cmake).
#pragma once

#include <cstdint>

#include "host/cpu/codecs/philox_words.hpp"
#include "host/cpu/random.hpp"
#include "onepass/storage/float32.hpp"

// Internal linkage, as in sweep.hpp.
namespace onepass::cpu {
namespace {

using initializers::Distribution;
using initializers::DistributionKind;
using Codec = storage::Float32;

/// The part of a group that belongs to a run: elements [begin, end) of the group that starts at `start`.
struct GroupPart {
  std::int64_t start;
  int begin, end;
};

inline GroupPart part_at(const step::ElementRange& run, std::int64_t done) {
  const std::int64_t at = run.first + done;
  const auto begin = static_cast<int>(at % kGroup);
  const std::int64_t left = run.count - done;
  return {at - begin, begin, left < kGroup - begin ? begin + static_cast<int>(left) : kGroup};
}

template <DistributionKind kKind>
void draw_group(const Distribution& from, std::int64_t first_block, const std::uint32_t* __restrict words,
                float* __restrict values) {
  const Distribution local = from;
  if constexpr (initializers::kFromOneWord<kKind>) {
    for (int i = 0; i < kGroup; ++i) values[i] = initializers::draw_one<kKind>(local, words[i]);
  } else {
    for (int b = 0; b < kGroupBlocks; ++b) {
      const random::Words drawn{{words[4 * b], words[4 * b + 1], words[4 * b + 2], words[4 * b + 3]}};
      float block[initializers::kBlock];
      initializers::draw<kKind>(local, first_block + b, drawn, block);
      for (int i = 0; i < initializers::kBlock; ++i) values[4 * b + i] = block[i];
    }
  }
}

template <DistributionKind kKind>
void fill_as(const step::FillJob& job) {
  constexpr bool kDraws = kKind != DistributionKind::constant && kKind != DistributionKind::dirac;
  alignas(64) std::uint32_t words[kGroup] = {};
  alignas(64) float values[kGroup];
  for (std::int64_t done = 0; done < job.range.count;) {
    const GroupPart part = part_at(job.range, done);
    const std::int64_t block = part.start / initializers::kBlock;
    if constexpr (kDraws) {
      group_words(job.seed,
                  initializers::initialization_counter(static_cast<std::uint64_t>(block), job.tensor), words);
    }
    draw_group<kKind>(job.distribution, block, words, values);
    Codec::Element* const out = job.out + done;
    for (int i = part.begin; i < part.end; ++i) out[i - part.begin] = Codec::encode(values[i]);
    done += part.end - part.begin;
  }
}

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

/// `count` elements. out may be in or residual, element by element, which ivdep allows.
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

inline void dropout(const step::DropoutJob& job) {
  const RandomPosition position = *job.state;
  alignas(64) std::uint32_t words[kGroup];
  for (std::int64_t done = 0; done < job.range.count;) {
    const GroupPart part = part_at(job.range, done);
    const auto block = static_cast<std::uint64_t>(part.start / initializers::kBlock);
    group_words(position.key(), regularizers::dropout_counter(position, block, job.site), words);
    const int count = part.end - part.begin;
    if (job.residual == nullptr) {
      drop(job.coefficients, words + part.begin, job.out + done, job.in + done, count);
    } else {
      drop(job.coefficients, words + part.begin, job.out + done, job.in + done, job.residual + done, count);
    }
    done += count;
  }
}

/// The sums over the rows run in kSums interleaved parts, which hide the latency of an addition: one order,
/// whatever the width of a vector.
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
