// lanes.cuh - a few neighbouring elements of one stream, moved with the widest access its pointer allows.
#pragma once

#include <cstdint>
#include <type_traits>

#include "onepass/storage/bfloat16.hpp"
#include "step/global.hpp"

namespace onepass::kernels {

using namespace step;

/// What one thread moves at a time: 16 bytes of float32.
inline constexpr int kLanes = 4;

/// An untyped pointer of the table, as elements of device memory.
template <class Element>
__device__ __forceinline__ Element* global(void* pointer) {
  return static_cast<Element*>(declared_global(pointer));
}

/// Bytes of one access to a stream.
enum class Access { scalar, eight, sixteen };

__device__ __forceinline__ Access widest(const void* address) {
  const auto bits = reinterpret_cast<std::uintptr_t>(address);
  return bits % 16 == 0 ? Access::sixteen : bits % 8 == 0 ? Access::eight : Access::scalar;
}

template <int kCount, class Word, class Element>
__device__ __forceinline__ void copy_words(Element* to, const Element* from) {
  constexpr int kWords = kCount * sizeof(Element) / sizeof(Word);
#pragma unroll
  for (int w = 0; w < kWords; ++w) reinterpret_cast<Word*>(to)[w] = reinterpret_cast<const Word*>(from)[w];
}

/// Moves `count` elements, kCount where the whole tile is there; lanes past count are not touched.
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

/// Neighbouring elements of one stream, as they lie in memory.
template <class Element, int kCount>
struct Raw {
  alignas(16) Element element[kCount];

  /// Lanes past `count` are zero.
  __device__ __forceinline__ void load(const Element* from, int count, Access access) {
#pragma unroll
    for (int lane = 0; lane < kCount; ++lane) element[lane] = Element{};
    // Said again here: in a long function the compiler loses what was said where the pointer was read.
    copy_lanes<kCount>(element, declared_global(from), count, access);
  }
  __device__ __forceinline__ void store(Element* to, int count, Access access) const {
    copy_lanes<kCount>(declared_global(to), element, count, access);
  }

  /// The elements as they lie in registers.
  static constexpr int kWords = kCount * sizeof(Element) / sizeof(std::uint32_t);
  __device__ __forceinline__ void to_words(std::uint32_t (&words)[kWords]) const {
    __builtin_memcpy(words, element, sizeof(element));
  }
  __device__ __forceinline__ void from_words(const std::uint32_t (&words)[kWords]) {
    __builtin_memcpy(element, words, sizeof(element));
  }
};

/// The float of an element of bfloat16, of the two in its word. Taken out of the word first, as a short, it
/// would cost three instructions instead of one.
__device__ __forceinline__ storage::Bits bfloat16_bits(std::uint32_t word, int element) {
  return element % 2 == 0 ? word << 16 : word & 0xffff0000u;
}

/// kCount elements, decoded; lanes past `count` are zero.
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

/// Encodes and writes the first `count` of kCount elements.
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

/// `count` zeros, by one block of kBlock threads, of which each writes tiles of kCount.
template <class Codec, int kBlock, int kCount = kLanes>
__device__ __forceinline__ void zero_run(typename Codec::Element* to, std::int64_t count) {
  const Access access = widest(to);
  for (std::int64_t i = kCount * static_cast<std::int64_t>(threadIdx.x); i < count; i += kCount * kBlock) {
    store_zeros<Codec, kCount>(to + i, count - i < kCount ? static_cast<int>(count - i) : kCount, access);
  }
}

}  // namespace onepass::kernels
