// lanes.cuh - loads and stores a few neighbouring elements of a stream with the widest access that its
// pointer allows.
#pragma once

#include <cstdint>
#include <type_traits>

#include "onepass/storage/bfloat16.hpp"
#include "step/global.hpp"

namespace onepass::kernels {

using namespace step;

/// Number of float32 elements that one thread moves at a time: 16 bytes.
inline constexpr int kLanes = 4;

/// Converts an untyped pointer of the table to elements in global memory.
template <class Element>
__device__ __forceinline__ Element* global(void* pointer) {
  return static_cast<Element*>(declared_global(pointer));
}

/// Width of one access to a stream: a single element, 8 bytes or 16 bytes.
enum class Access { scalar, eight, sixteen };

/// Returns the widest access that the address is aligned to.
__device__ __forceinline__ Access widest(const void* address) {
  const auto bits = reinterpret_cast<std::uintptr_t>(address);
  return bits % 16 == 0 ? Access::sixteen : bits % 8 == 0 ? Access::eight : Access::scalar;
}

/// Copies kCount elements as Words.
template <int kCount, class Word, class Element>
__device__ __forceinline__ void copy_words(Element* to, const Element* from) {
  constexpr int kWords = kCount * sizeof(Element) / sizeof(Word);
#pragma unroll
  for (int w = 0; w < kWords; ++w) reinterpret_cast<Word*>(to)[w] = reinterpret_cast<const Word*>(from)[w];
}

/// Copies `count` elements; `count` is kCount for a whole tile. Lanes from `count` on are not touched.
template <int kCount, class Element>
__device__ __forceinline__ void copy_lanes(Element* to, const Element* from, int count, Access access) {
  constexpr int kBytes = kCount * sizeof(Element);
  if (kBytes % 16 == 0 && count == kCount && access == Access::sixteen) {
    copy_words<kCount, uint4>(to, from);
  } else if (kBytes % 8 == 0 && count == kCount && access != Access::scalar) {
    copy_words<kCount, uint2>(to, from);
  } else {
#pragma unroll
    for (int lane = 0; lane < kCount; ++lane) {
      if (lane < count) to[lane] = from[lane];
    }
  }
}

/// Neighbouring elements of one stream, encoded as in memory.
template <class Element, int kCount>
struct Raw {
  alignas(16) Element element[kCount];

  /// Loads `count` elements. Lanes from `count` on are zero.
  __device__ __forceinline__ void load(const Element* from, int count, Access access) {
#pragma unroll
    for (int lane = 0; lane < kCount; ++lane) element[lane] = Element{};
    // Declared again: in a long function nvcc forgets what was declared where the pointer was read.
    copy_lanes<kCount>(element, declared_global(from), count, access);
  }
  __device__ __forceinline__ void store(Element* to, int count, Access access) const {
    copy_lanes<kCount>(declared_global(to), element, count, access);
  }

  /// Number of 32-bit registers that the elements take.
  static constexpr int kWords = kCount * sizeof(Element) / sizeof(std::uint32_t);
  __device__ __forceinline__ void to_words(std::uint32_t (&words)[kWords]) const {
    __builtin_memcpy(words, element, sizeof(element));
  }
  __device__ __forceinline__ void from_words(const std::uint32_t (&words)[kWords]) {
    __builtin_memcpy(element, words, sizeof(element));
  }
};

/// Returns the float32 bits of one of the two bfloat16 elements in a word. This takes one instruction; to
/// extract the element as a short first would take three.
__device__ __forceinline__ storage::Bits bfloat16_bits(std::uint32_t word, int element) {
  return element % 2 == 0 ? word << 16 : word & 0xffff0000u;
}

/// Loads and decodes `count` elements. Lanes from `count` on are zero.
template <class Codec, int kCount>
__device__ __forceinline__ void load(float (&values)[kCount], const typename Codec::Element* from, int count,
                                     Access access) {
  Raw<typename Codec::Element, kCount> raw;
  raw.load(from, count, access);
  if constexpr (std::is_same_v<Codec, storage::BFloat16>) {
    std::uint32_t words[kCount / 2];
    raw.to_words(words);
#pragma unroll
    for (int lane = 0; lane < kCount; ++lane)
      values[lane] = storage::float_of(bfloat16_bits(words[lane / 2], lane));
  } else {
#pragma unroll
    for (int lane = 0; lane < kCount; ++lane) values[lane] = Codec::decode(raw.element[lane]);
  }
}

/// Encodes kCount elements and stores the first `count` of them.
template <class Codec, int kCount>
__device__ __forceinline__ void store(typename Codec::Element* to, const float (&values)[kCount], int count,
                                      Access access) {
  Raw<typename Codec::Element, kCount> raw;
#pragma unroll
  for (int lane = 0; lane < kCount; ++lane) raw.element[lane] = Codec::encode(values[lane]);
  raw.store(to, count, access);
}

template <class Codec, int kCount = kLanes>
__device__ __forceinline__ void store_zeros(typename Codec::Element* to, int count, Access access) {
  const float zeros[kCount] = {};
  store<Codec>(to, zeros, count, access);
}

/// Writes `count` zeros with one thread block of kThreadCount threads. Each thread writes tiles of kCount
/// elements.
template <class Codec, int kThreadCount, int kCount = kLanes>
__device__ __forceinline__ void zero_range(typename Codec::Element* to, std::int64_t count) {
  const Access access = widest(to);
  for (std::int64_t i = kCount * static_cast<std::int64_t>(threadIdx.x); i < count;
       i += kCount * kThreadCount) {
    store_zeros<Codec, kCount>(to + i, count - i < kCount ? static_cast<int>(count - i) : kCount, access);
  }
}

}  // namespace onepass::kernels
