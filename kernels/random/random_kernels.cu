#include "kernels/random/random_kernels.hpp"

#include <algorithm>
#include <cstdint>

#include "kernels/launch.cuh"
#include "kernels/random/draws.cuh"
#include "onepass/random/philox.hpp"
#include "onepass/storage/float32.hpp"

namespace onepass::kernels {

namespace {

using initializers::DistributionKind;
using Codec = storage::Float32;

constexpr int kThreads = 256;

/// Returns the number of thread blocks for so many draws, one per thread; at most `resident`.
unsigned grid_for(std::int64_t draws, int resident) {
  return blocks_for((draws + kThreads - 1) / kThreads, resident);
}

__device__ __forceinline__ std::int64_t thread_in_grid() {
  return static_cast<std::int64_t>(blockIdx.x) * kThreads + threadIdx.x;
}

__device__ __forceinline__ std::int64_t threads_in_grid() {
  return static_cast<std::int64_t>(gridDim.x) * kThreads;
}

/// Fills the elements of the thread's draws. kWide: the draws are aligned to 16 bytes in the stream, so this
/// copy of the loop stores them whole. If one loop did both, the compiler would merge the two ways into
/// stores of single elements.
template <DistributionKind kKind, bool kWide>
__device__ __forceinline__ void fill_draws(const FillJob& job, Codec::Element* out, DrawRange draws) {
  for (std::int64_t d = thread_in_grid(); d < draws.count; d += threads_in_grid()) {
    const DrawTile tile = DrawTile::of(job.range, draws.first + d);
    const random::Counter counter =
        initializers::initialization_counter(static_cast<std::uint64_t>(tile.draw), job.tensor);
    float values[kLanes];
    initializers::draw<kKind>(job.distribution, tile.draw, random::philox(job.seed, counter), values);
    store<Codec, kWide>(out, values, tile);
  }
}

template <DistributionKind kKind>
__device__ __forceinline__ void fill_as(const FillJob& job, DrawRange draws) {
  Codec::Element* const out = global<Codec::Element>(job.out);
  if (is_wide(out, job.range)) {
    fill_draws<kKind, true>(job, out, draws);
  } else {
    fill_draws<kKind, false>(job, out, draws);
  }
}

/// Thread blocks of kThreads threads; any grid size works. The threads stride over the draws of the range,
/// one draw at a time. Uses no shared memory and no atomics. Writes each element once and reads none.
__global__ void __launch_bounds__(kThreads)
    fill_kernel(const __grid_constant__ FillJob job, const DrawRange draws) {
  switch (job.distribution.kind) {
    case DistributionKind::uniform:
      return fill_as<DistributionKind::uniform>(job, draws);
    case DistributionKind::normal:
      return fill_as<DistributionKind::normal>(job, draws);
    case DistributionKind::truncated_normal:
      return fill_as<DistributionKind::truncated_normal>(job, draws);
    case DistributionKind::dirac:
      return fill_as<DistributionKind::dirac>(job, draws);
    default:
      return fill_as<DistributionKind::constant>(job, draws);
  }
}

/// The streams of a dropout launch, in global memory.
struct DropoutStreams {
  Codec::Element* out;
  const Codec::Element* in;
  const Codec::Element* residual;
};

template <bool kResidual, bool kWide>
__device__ __forceinline__ void drop_draws(const DropoutJob& job, const DropoutStreams& streams,
                                           DrawRange draws) {
  const RandomPosition position = *global_input(job.state);
  for (std::int64_t d = thread_in_grid(); d < draws.count; d += threads_in_grid()) {
    const DrawTile tile = DrawTile::of(job.range, draws.first + d);
    float x[kLanes], r[kLanes];
    load<Codec, kWide>(x, streams.in, tile);
    if constexpr (kResidual) load<Codec, kWide>(r, streams.residual, tile);
    const random::Counter counter =
        regularizers::dropout_counter(position, static_cast<std::uint64_t>(tile.draw), job.site);
    const random::Words words = random::philox(position.key(), counter);
#pragma unroll
    for (int lane = 0; lane < kLanes; ++lane) {
      if constexpr (kResidual) {
        x[lane] = job.coefficients.apply(x[lane], words.word[lane], r[lane]);
      } else {
        x[lane] = job.coefficients.apply(x[lane], words.word[lane]);
      }
    }
    store<Codec, kWide>(streams.out, x, tile);
  }
}

/// Launched like fill_kernel. Reads seed and offset, and each element of `in` and `residual` once. Writes
/// each element of `out` once, after reading its inputs, so `out` may be `in` or `residual`.
template <bool kResidual>
__global__ void __launch_bounds__(kThreads)
    dropout_kernel(const __grid_constant__ DropoutJob job, const DrawRange draws) {
  const DropoutStreams streams{global<Codec::Element>(job.out), global_input(job.in),
                               global_input(job.residual)};
  if (is_wide(streams.out, job.range) && is_wide(streams.in, job.range) &&
      (!kResidual || is_wide(streams.residual, job.range))) {
    drop_draws<kResidual, true>(job, streams, draws);
  } else {
    drop_draws<kResidual, false>(job, streams, draws);
  }
}

/// Launched with one thread.
__global__ void __launch_bounds__(1) advance_kernel(RandomPosition* const state) { ++state->offset; }

/// Launched with one thread. Seed and offset travel in the launch's arguments.
__global__ void __launch_bounds__(1)
    write_kernel(RandomPosition* const state, const RandomPosition position) {
  *state = position;
}

}  // namespace

void fill(const FillJob& job, Stream stream) {
  const DrawRange draws = draws_covering(job.range);
  const unsigned grid = grid_for(draws.count, resident_blocks(fill_kernel, kThreads));
  launch(fill_kernel, {grid, kThreads, stream.handle()}, job, draws);
}

int dropout_blocks() {
  (void)resident_blocks(advance_kernel, 1);
  (void)resident_blocks(write_kernel, 1);
  return std::min(resident_blocks(dropout_kernel<false>, kThreads),
                  resident_blocks(dropout_kernel<true>, kThreads));
}

void dropout(const DropoutJob& job, int resident, Stream stream) {
  const DrawRange draws = draws_covering(job.range);
  const auto kernel = job.residual == nullptr ? dropout_kernel<false> : dropout_kernel<true>;
  launch(kernel, {grid_for(draws.count, resident), kThreads, stream.handle()}, job, draws);
}

void advance(RandomPosition* state, Stream stream) { launch(advance_kernel, {1, 1, stream.handle()}, state); }

void write(RandomPosition* state, RandomPosition position, Stream stream) {
  launch(write_kernel, {1, 1, stream.handle()}, state, position);
}

}  // namespace onepass::kernels
