// packed.cuh - the codecs of small elements, on the 32-bit words that several of them lie in.
#pragma once

#include <cstdint>
#include <utility>

#include "kernels/update/lanes.cuh"
#include "onepass/storage/bfloat16.hpp"
#include "onepass/storage/quantized8.hpp"
#include "onepass/storage/remainder8.hpp"

/// The same numbers, bit for bit, as the codecs of onepass/storage/, which say what they mean. There an
/// element is on its own, which a CPU's vectors like; here a thread has words of them, and to take each out
/// of its word and to put it back cost as much as its arithmetic.
namespace onepass::kernels::packed {

using storage::Bits;
using storage::bits_of;
using storage::float_of;

/// Byte b of the result is the byte of {a, b} that the selector's digit b says; 8 more: its sign, eight
/// times. __byte_perm() knows no signs.
template <unsigned kSelector>
__device__ __forceinline__ Bits permute(Bits a, Bits b) {
  Bits result;
  asm("prmt.b32 %0, %1, %2, %3;" : "=r"(result) : "r"(a), "r"(b), "n"(kSelector));
  return result;
}

/// One byte of each, the same one.
template <unsigned kByte>
__device__ __forceinline__ Bits gather(Bits a, Bits b, Bits c, Bits d) {
  constexpr unsigned kPair = (kByte + 4) << 4 | kByte;
  return permute<0x5410>(permute<kPair>(a, b), permute<kPair>(c, d));
}

/// Four codes in a word. Scale: what a group's scale comes to before its elements are looked at.
template <class Codec>
struct Codes;

template <>
struct Codes<storage::Signed8> {
  using Codec = storage::Signed8;

  struct Scale {
    float step;
    __device__ __forceinline__ explicit Scale(float scale) : step(scale * Codec::kStep) {}
  };
  template <int kElement>
  static __device__ __forceinline__ float decode(Bits word, Scale scale) {
    const auto whole = static_cast<std::int32_t>(permute<0x1111u * (kElement % 4 + 8) - 8>(word, 0));
    const auto magnitude = static_cast<Bits>(whole < 0 ? -whole : whole);
    const float y = float_of((magnitude << Codec::kShift) + Codec::kOne);
    return float_of(bits_of(lane::fma(y, scale.step, -scale.step)) |
                    (static_cast<Bits>(whole) & storage::kSign));
  }

  /// A code in the upper byte, without its sign.
  static __device__ __forceinline__ Bits magnitude(float x, float inverse, Bits random) {
    constexpr int kUp = 24 - Codec::kShift;
    constexpr Bits kNoise = ((1u << storage::kNoiseBits) - 1) << (Codec::kFine + kUp);
    constexpr Bits kRest = ((1u << (Codec::kFine - 1)) - Codec::kOne) << kUp;
    static_assert((kNoise & kRest) == 0);
    const Bits noise = (random >> (32 - storage::kNoiseBits - Codec::kFine - kUp)) & kNoise;
    return (bits_of(lane::fma(lane::abs(x), inverse, 1.0f)) << kUp) + (noise | kRest);
  }
  static __device__ __forceinline__ Bits encode(const float* x, float inverse, storage::Dither dither,
                                                Bits mask) {
    Bits each[4];
#pragma unroll
    for (int lane = 0; lane < 4; ++lane) each[lane] = magnitude(x[lane], inverse, dither.from(lane).upper());
    const Bits magnitudes = gather<3>(each[0], each[1], each[2], each[3]);
    const Bits signs = gather<3>(bits_of(x[0]), bits_of(x[1]), bits_of(x[2]), bits_of(x[3])) & 0x80808080u;
    // Below zero: the complement and 1, in 7 bits, so that -0 carries into its own sign.
    const Bits ones = signs >> 7;
    return (((magnitudes ^ (signs - ones)) + ones) ^ signs) & mask;
  }
};

template <>
struct Codes<storage::Nonnegative8> {
  using Codec = storage::Nonnegative8;

  /// 2^23 + code is a float whose last byte is the code. The product and the difference are rounded once, as
  /// code * step is. A root's scale is 2^64 at most.
  struct Scale {
    float step, offset;
    __device__ __forceinline__ explicit Scale(float scale)
        : step(scale * Codec::kStep), offset(step * -Codec::kWholes) {}
  };
  template <int kElement>
  static __device__ __forceinline__ float decode(Bits word, Scale scale) {
    const float shifted = float_of(permute<0x7440u + kElement % 4>(word, Codec::kWhole));
    const float root = lane::fma(shifted, scale.step, scale.offset);
    return root * root;
  }

  static __device__ __forceinline__ Bits encode(const float* root, float inverse, storage::Dither dither,
                                                Bits mask) {
    Bits each[4];
#pragma unroll
    for (int lane = 0; lane < 4; ++lane) {
      constexpr std::int32_t kLeast = 1 << storage::kNoiseBits;
      const auto pattern = static_cast<std::int32_t>(bits_of(root[lane]));
      const Bits noise = dither.at<storage::kNoiseBits>(lane) - bits_of(Codec::kFixed);
      const auto sum =
          static_cast<std::int32_t>(bits_of(lane::fma(root[lane], inverse, Codec::kFixed)) + noise);
      const std::int32_t least = pattern < kLeast ? pattern : kLeast;
      each[lane] = static_cast<Bits>(sum > least ? sum : least) >> storage::kNoiseBits;
    }
    return gather<0>(each[0], each[1], each[2], each[3]) & mask;
  }
};

/// A parameter and its remainder: two elements in a word, and four remainders.
struct Remainder8 {
  using Codec = storage::BFloat16Remainder8;

  template <int kElement>
  static __device__ __forceinline__ float decode(Bits elements, Bits remainders) {
    constexpr unsigned kByte = kElement % 4;
    const Bits rounded = bfloat16_bits(elements, kElement);
    const Bits bits = rounded + permute<0x0004u + (kByte << 4) + (kByte + 8) * 0x1100u>(remainders, 0);
    return float_of(((bits ^ rounded) & storage::kSign) != 0 ? rounded : bits);
  }

  /// The 24 bits, above 8 that do not count.
  static __device__ __forceinline__ Bits whole(float x) {
    const Bits bits = bits_of(x);
    const Bits rounded = bits + 0x7fu + (bits >> 8 & 1u);
    return x != x ? Bits{storage::BFloat16::kNaN} << 16 : rounded;
  }
  static __device__ __forceinline__ void encode(const float* x, Bits (&elements)[2], Bits& remainders) {
    Bits each[4];
#pragma unroll
    for (int lane = 0; lane < 4; ++lane) each[lane] = whole(x[lane]);
    elements[0] = permute<0x7632>(each[0] + 0x8000u, each[1] + 0x8000u);
    elements[1] = permute<0x7632>(each[2] + 0x8000u, each[3] + 0x8000u);
    remainders = gather<1>(each[0], each[1], each[2], each[3]);
  }
};

using Lanes = std::make_integer_sequence<int, 8>;

template <class Codec, int... kLane>
__device__ __forceinline__ void decode(float (&values)[8], const Raw<typename Codec::Code, 8>& raw,
                                       float scale, std::integer_sequence<int, kLane...> /*lanes*/) {
  Bits codes[2];
  raw.to_words(codes);
  const typename Codes<Codec>::Scale of(scale);
  (..., (values[kLane] = Codes<Codec>::template decode<kLane>(codes[kLane / 4], of)));
}
template <class Codec>
__device__ __forceinline__ void decode(float (&values)[8], const Raw<typename Codec::Code, 8>& raw,
                                       float scale) {
  decode<Codec>(values, raw, scale, Lanes{});
}

/// Of what Codec has staged. `dither`: of the first one.
template <class Codec>
__device__ __forceinline__ void encode(const float (&staged)[8], Raw<typename Codec::Code, 8>& raw,
                                       float scale, storage::Dither dither) {
  const float inverse = Codec::inverse(scale);
  const auto mask = static_cast<Bits>(storage::group_mask(scale));
  raw.from_words({Codes<Codec>::encode(staged, inverse, dither, mask),
                  Codes<Codec>::encode(staged + 4, inverse, dither.from(4), mask)});
}

using Element8 = Raw<storage::BFloat16Remainder8::Element, 8>;
using Rest8 = Raw<storage::BFloat16Remainder8::Remainder, 8>;

template <int... kLane>
__device__ __forceinline__ void decode(float (&values)[8], const Element8& element, const Rest8& remainder,
                                       std::integer_sequence<int, kLane...> /*lanes*/) {
  Bits elements[4], remainders[2];
  element.to_words(elements);
  remainder.to_words(remainders);
  (..., (values[kLane] = Remainder8::decode<kLane>(elements[kLane / 2], remainders[kLane / 4])));
}
__device__ __forceinline__ void decode(float (&values)[8], const Element8& element, const Rest8& remainder) {
  decode(values, element, remainder, Lanes{});
}

__device__ __forceinline__ void encode(const float (&values)[8], Element8& element, Rest8& remainder) {
  Bits low[2], high[2], remainders[2];
  Remainder8::encode(values, low, remainders[0]);
  Remainder8::encode(values + 4, high, remainders[1]);
  element.from_words({low[0], low[1], high[0], high[1]});
  remainder.from_words(remainders);
}

}  // namespace onepass::kernels::packed
