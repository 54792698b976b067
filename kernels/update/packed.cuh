// packed.cuh - codecs of small elements that work on 32-bit words of several elements.
#pragma once

#include <cstdint>
#include <utility>

#include "kernels/lanes.cuh"
#include "onepass/storage/bfloat16.hpp"
#include "onepass/storage/quantized8.hpp"
#include "onepass/storage/remainder8.hpp"

/// These functions give the same results, bit for bit, as the codecs of onepass/storage/, which document the
/// encodings. Those work on one element at a time, which suits the vector units of a CPU. A GPU thread has
/// words of several elements, and to extract each element and put it back would cost as much as its
/// arithmetic.
namespace onepass::kernels::packed {

using storage::Bits;
using storage::bits_of;
using storage::float_of;

/// Selects four bytes of {a, b}, in which a has the bytes 0 to 3 and b the bytes 4 to 7. The i-th hexadecimal
/// digit of kSelector, counted from the lowest, chooses byte i of the result: digit d in 0 to 7 copies byte
/// d; digit 8 + d copies the sign bit of byte d to all eight bits. __byte_perm() cannot copy signs.
template <unsigned kSelector>
__device__ __forceinline__ Bits permute(Bits a, Bits b) {
  Bits result;
  asm("prmt.b32 %0, %1, %2, %3;" : "=r"(result) : "r"(a), "r"(b), "n"(kSelector));
  return result;
}

/// Returns byte kByte of a, b, c and d, in this order from the lowest byte.
template <unsigned kByte>
__device__ __forceinline__ Bits gather(Bits a, Bits b, Bits c, Bits d) {
  constexpr unsigned kPair = (kByte + 4) << 4 | kByte;
  return permute<0x5410>(permute<kPair>(a, b), permute<kPair>(c, d));
}

/// Decodes one and encodes four codes in a word. Codes::Scale holds what depends on a block's scale alone, so
/// that it is computed once per tile.
template <class Codec>
struct Codes;

template <>
struct Codes<storage::Signed8> {
  using Codec = storage::Signed8;

  struct Scale {
    float step;
    __device__ __forceinline__ explicit Scale(float scale) : step(scale * Codec::kStep) {}
  };
  /// The selector extends the sign of the code in byte e = kElement % 4 to 32 bits. For e = 2 it is 0x1111 *
  /// 10 - 8 = 0xaaa2: the lowest byte of the result is byte 2, the three others are its sign (8 + 2).
  template <int kElement>
  static __device__ __forceinline__ float decode(Bits word, Scale scale) {
    const auto whole = static_cast<std::int32_t>(permute<0x1111u * (kElement % 4 + 8) - 8>(word, 0));
    const auto magnitude = static_cast<Bits>(whole < 0 ? -whole : whole);
    const float y = float_of((magnitude << Codec::kShift) + Codec::kOne);
    return float_of(bits_of(lane::fma(y, scale.step, -scale.step)) |
                    (static_cast<Bits>(whole) & storage::kSign));
  }

  /// Returns a word with the magnitude of the code in its highest byte. kRest subtracts the bits of 1 and
  /// adds half a step of the noise; it shares no bit with the noise, so `|` adds the two.
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
    // Negates the negative codes in all four bytes at once: complements 7 bits, adds 1, sets the sign. For -0
    // the addition carries into the sign bit, so that the code becomes 0; no carry leaves a byte.
    const Bits ones = signs >> 7;
    return (((magnitudes ^ (signs - ones)) + ones) ^ signs) & mask;
  }
};

template <>
struct Codes<storage::Nonnegative8> {
  using Codec = storage::Nonnegative8;

  /// The float 2^23 + code has the code in its lowest byte, and fma(2^23 + code, step, -2^23 * step) is
  /// rounded once, as code * step is. The offset cannot overflow, because the scale of a root is at most
  /// 2^64.
  struct Scale {
    float step, offset;
    __device__ __forceinline__ explicit Scale(float scale)
        : step(scale * Codec::kStep), offset(step * -Codec::kWholes) {}
  };
  /// The selector makes the float 2^23 + code: the code in the lowest byte, the bytes 0, 0 and 0x4b of
  /// Codec::kWhole above it.
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

/// Decodes and encodes parameters with remainders of 8 bits. A word has two elements or four remainders.
struct Remainder8 {
  using Codec = storage::BFloat16Remainder8;

  /// The selector makes 256 times the remainder as a signed number. For byte 2 it is 0xaa24: byte 0 is byte
  /// 4, which is 0; byte 1 is the remainder; the upper two are its sign (8 + 2).
  template <int kElement>
  static __device__ __forceinline__ float decode(Bits elements, Bits remainders) {
    constexpr unsigned kByte = kElement % 4;
    const Bits rounded = bfloat16_bits(elements, kElement);
    const Bits bits = rounded + permute<0x0004u + (kByte << 4) + (kByte + 8) * 0x1100u>(remainders, 0);
    return float_of(((bits ^ rounded) & storage::kSign) != 0 ? rounded : bits);
  }

  /// Rounds x with 8 bits of noise to the 24 bits that are stored. They are the upper 24 bits of the result;
  /// the lower 8 are unused.
  static __device__ __forceinline__ Bits whole(float x, Bits noise) {
    return x != x ? Bits{storage::BFloat16::kNaN} << 16 : bits_of(x) + noise;
  }
  /// Encodes four numbers. `dither` belongs to the first of them.
  static __device__ __forceinline__ void encode(const float* x, Bits (&elements)[2], Bits& remainders,
                                                storage::Dither dither) {
    Bits each[4];
#pragma unroll
    for (int lane = 0; lane < 4; ++lane) each[lane] = whole(x[lane], dither.at<8>(lane));
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

/// Encodes numbers that Codec::stage() has returned. `dither` belongs to the first of them.
template <class Codec>
__device__ __forceinline__ void encode(const float (&staged)[8], Raw<typename Codec::Code, 8>& raw,
                                       float scale, storage::Dither dither) {
  const float inverse = Codec::inverse(scale);
  const auto mask = static_cast<Bits>(storage::block_mask(scale));
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

/// Encodes eight parameters. `dither` belongs to the first of them.
__device__ __forceinline__ void encode(const float (&values)[8], Element8& element, Rest8& remainder,
                                       storage::Dither dither) {
  Bits low[2], high[2], remainders[2];
  Remainder8::encode(values, low, remainders[0], dither);
  Remainder8::encode(values + 4, high, remainders[1], dither.from(4));
  element.from_words({low[0], low[1], high[0], high[1]});
  remainder.from_words(remainders);
}

}  // namespace onepass::kernels::packed
