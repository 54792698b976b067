// exact_warp.cuh - exact sums by the lanes of a warp, and the results of a thread block.
#pragma once

#include <cstdint>

#include "step/exact_leaf.hpp"
#include "step/reduction.hpp"

namespace onepass::kernels {

using namespace step;

inline constexpr int kWarp = 32;
inline constexpr unsigned kAllLanes = 0xffffffffu;

using Counter = unsigned long long;  // the 64-bit type of CUDA's atomics

__device__ __forceinline__ Counter* counter(std::uint64_t* word) { return reinterpret_cast<Counter*>(word); }

/// Atomic operations for add_leaf(). They are operations on integers, so the order of the warps does not
/// matter.
struct AtomicWords {
  static __device__ __forceinline__ void set(std::uint64_t& word) { atomicOr(counter(&word), Counter{1}); }
  static __device__ __forceinline__ void raise(std::uint64_t& word, std::uint64_t x) {
    atomicMax(counter(&word), Counter{x});
  }
  static __device__ __forceinline__ void add(std::uint64_t& word, std::uint64_t x) {
    atomicAdd(counter(&word), Counter{x});
  }
};

__device__ __forceinline__ std::int64_t sum_of_lanes(std::int64_t count) {
#pragma unroll
  for (int width = kWarp / 2; width > 0; width /= 2) count += __shfl_xor_sync(kAllLanes, count, width);
  return count;
}

/// Returns the bits of the leaf to every lane.
__device__ __forceinline__ LeafBits bits_of_lanes(LeafBits bits) {
#pragma unroll
  for (int width = kWarp / 2; width > 0; width /= 2) {
    const std::uint32_t largest = __shfl_xor_sync(kAllLanes, bits.largest, width);
    const std::uint32_t smallest = __shfl_xor_sync(kAllLanes, bits.smallest, width);
    bits.largest = largest > bits.largest ? largest : bits.largest;
    bits.smallest = smallest < bits.smallest ? smallest : bits.smallest;
    bits.any |= __shfl_xor_sync(kAllLanes, bits.any, width);
  }
  return bits;
}

/// Adds the elements that the lanes of a warp have, of one or two bins. Each lane has kSlotCount slots of
/// kRows elements, at most 8.
template <Measure kMeasure, int kRows, int kSlotCount>
__device__ __forceinline__ void add_few_bins(const float (&values)[kRows][kSlotCount], const Bins& bins,
                                             int lane, ExactSum& into) {
  static_assert(kRows <= kLeaf / kSlots);
  const double anchors[2] = {bins.anchor(0), bins.anchor(bins.count - 1)};
  std::int64_t counts[2] = {0, 0};
#pragma unroll
  for (int slot = 0; slot < kSlotCount; ++slot) {
    double low = anchors[0];
    double high = anchors[1];
#pragma unroll
    for (int row = 0; row < kRows; ++row) {
      low += fill(high, exact_term<kMeasure>(values[row][slot]));
    }
    counts[0] += units(low, anchors[0]);
    counts[1] += units(high, anchors[1]);
  }
  for (int b = 0; b < 2; ++b) counts[b] = sum_of_lanes(counts[b]);
  if (lane != 0) return;
  std::int64_t carry = 0;
  if (bins.count == 2) add_bin<AtomicWords>(into, bins, 0, counts[0], carry);
  add_bin<AtomicWords>(into, bins, bins.count - 1, counts[1], carry);
}

/// Adds the elements that the lanes of a warp have, of any number of bins, bin by bin from the lowest.
/// Repeats for each element what the bins above have taken of it. Such elements are rare.
template <Measure kMeasure, int kRows>
__device__ __forceinline__ void add_many_bins(const float (&values)[kRows][1], const Bins& bins, int lane,
                                              ExactSum& into) {
  std::int64_t carry = 0;
  for (int b = 0; b < bins.count; ++b) {
    std::int64_t count = 0;
#pragma unroll
    for (int row = 0; row < kRows; ++row) {
      double rest = exact_term<kMeasure>(values[row][0]);
      for (int above = bins.count - 1; above >= b; --above) {
        double slot = bins.anchor(above);
        rest = fill(slot, rest);
        if (above == b) count += units(slot, bins.anchor(b));
      }
    }
    count = sum_of_lanes(count);
    if (lane == 0) add_bin<AtomicWords>(into, bins, b, count, carry);
  }
}

/// Adds the elements that the lanes of a warp have, and rounds nothing. Notes an element that is not finite.
template <Measure kMeasure, int kRows>
__device__ __forceinline__ void add_exactly(const float (&values)[kRows][1], int lane, Reduction& into) {
  LeafBits own;
#pragma unroll
  for (int row = 0; row < kRows; ++row) own.include(values[row][0]);
  const LeafBits bits = bits_of_lanes(own);
  if (!bits.is_finite()) {
    if (lane == 0) add_leaf<kMeasure, AtomicWords>(into, bits.special());
  } else if (!bits.is_zero()) {
    const Bins bins = bins_of<kMeasure>(bits);
    bins.count <= 2 ? add_few_bins<kMeasure>(values, bins, lane, into.sum)
                    : add_many_bins<kMeasure>(values, bins, lane, into.sum);
  }
}

__device__ inline void clear(Reduction& reduction) {
  if (threadIdx.x == 0) reduction = Reduction::none();
  __syncthreads();
}

/// Adds a result to a total. The threads of one warp, at least, call this with their numbers.
__device__ inline void merge(Reduction& into, const Reduction& part, int thread) {
  if (thread < ExactSum::kLimbs && part.sum.limbs[thread] != 0) {
    atomicAdd(counter(&into.sum.limbs[thread]), Counter{part.sum.limbs[thread]});
  }
  if (thread == ExactSum::kLimbs) {
    if (part.nan != 0) atomicOr(counter(&into.nan), Counter{1});
    if (part.infinite != 0) atomicOr(counter(&into.infinite), Counter{1});
    if (part.largest != 0) atomicMax(counter(&into.largest), Counter{part.largest});
    if (part.first_nonfinite != kNowhere) {
      atomicMin(counter(&into.first_nonfinite), Counter{part.first_nonfinite});
    }
  }
}
static_assert(ExactSum::kLimbs < kWarp);

/// Adds the result of one thread block to the total.
__device__ inline void merge(Reduction& into, const Reduction& part) {
  __syncthreads();
  merge(into, part, static_cast<int>(threadIdx.x));
}

}  // namespace onepass::kernels
