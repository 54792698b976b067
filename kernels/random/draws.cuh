// draws.cuh - the elements of one Philox draw: kLanes neighbours that start at a multiple of kLanes in the
// logical tensor. Some of them may lie outside the elements that a launch works on.
#pragma once

#include <cstdint>

#include "kernels/lanes.cuh"
#include "step/random_jobs.hpp"

namespace onepass::kernels {

using namespace step;

/// Like global(), for memory that a launch only reads.
template <class Element>
__device__ __forceinline__ const Element* global_input(const Element* pointer) {
  __builtin_assume(__isGlobal(pointer));
  return pointer;
}

/// The elements of one draw. `at` is the index of the first one in the range, negative if the range starts
/// inside the draw.
struct DrawTile {
  std::int64_t draw;
  std::int64_t at;
  int begin, end;  ///< Lanes that belong to the range.

  static __device__ __forceinline__ DrawTile of(const ElementRange& range, std::int64_t draw) {
    const std::int64_t at = kLanes * draw - range.first;
    const std::int64_t left = range.count - at;
    return {draw, at, at < 0 ? static_cast<int>(-at) : 0, left < kLanes ? static_cast<int>(left) : kLanes};
  }
  [[nodiscard]] __device__ __forceinline__ bool whole() const { return begin == 0 && end == kLanes; }
};

/// The draws that share an element with a range.
struct DrawRange {
  std::int64_t first;
  std::int64_t count;
};
inline DrawRange draws_covering(const ElementRange& range) {
  if (range.count == 0) return {0, 0};
  const std::int64_t first = range.first / kLanes;
  return {first, (range.first + range.count - 1) / kLanes - first + 1};
}

/// Stores 16 bytes to global memory at once. A plain assignment would not do: nvcc splits it into four stores
/// if a masked store of the same elements stands beside it.
__device__ __forceinline__ void store_sixteen(void* to, uint4 words) {
  asm volatile("st.global.v4.u32 [%0], {%1, %2, %3, %4};"
               :
               : "l"(__cvta_generic_to_global(to)), "r"(words.x), "r"(words.y), "r"(words.z), "r"(words.w)
               : "memory");
}

/// Returns whether the draws are aligned to 16 bytes in a stream that starts with the range. All of them are
/// or none is, because the elements of a draw take 16 bytes.
template <class Element>
__device__ __forceinline__ bool is_wide(const Element* stream, const ElementRange& range) {
  return widest(stream - range.first % kLanes) == Access::sixteen;
}

/// Loads and decodes the tile's elements of a stream that starts with the range. Lanes outside the range are
/// zero.
template <class Codec, bool kWide>
__device__ __forceinline__ void load(float (&values)[kLanes], const typename Codec::Element* stream,
                                     const DrawTile& tile) {
  if (kWide && tile.whole()) {
    load<Codec>(values, stream + tile.at, kLanes, Access::sixteen);
    return;
  }
#pragma unroll
  for (int lane = 0; lane < kLanes; ++lane) {
    const bool inside = lane >= tile.begin && lane < tile.end;
    values[lane] = inside ? Codec::decode(stream[tile.at + lane]) : 0.0f;
  }
}

/// Encodes and stores the lanes that belong to the range.
template <class Codec, bool kWide>
__device__ __forceinline__ void store(typename Codec::Element* stream, const float (&values)[kLanes],
                                      const DrawTile& tile) {
  if (kWide && tile.whole()) {
    static_assert(sizeof(typename Codec::Element) * kLanes == sizeof(uint4));
    alignas(16) typename Codec::Element raw[kLanes];
#pragma unroll
    for (int lane = 0; lane < kLanes; ++lane) raw[lane] = Codec::encode(values[lane]);
    store_sixteen(stream + tile.at, *reinterpret_cast<const uint4*>(raw));
    return;
  }
#pragma unroll
  for (int lane = 0; lane < kLanes; ++lane) {
    if (lane >= tile.begin && lane < tile.end) stream[tile.at + lane] = Codec::encode(values[lane]);
  }
}

}  // namespace onepass::kernels
