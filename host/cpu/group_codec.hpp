// group_codec.hpp - whole groups of quantised states between memory and float32, 16 elements at a time where
// there is AVX-512: gcc 12 keeps to half vectors where codes have 8 bits. The same operations as the codecs,
// in the same order. Compiled once for each instruction set.
#pragma once

#include <cstdint>

#include "host/cpu/intrinsics.hpp"
#include "onepass/storage/quantized8.hpp"

// Internal linkage, as in sweep.hpp.
namespace onepass::cpu {
namespace {

using storage::Nonnegative8;
using storage::Signed8;

#if defined(__AVX512BW__)

inline __m512i lattice(storage::Dither dither, int first) {
  const __m512i steps = _mm512_setr_epi32(0, 1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12, 13, 14, 15);
  const __m512i turns = _mm512_mullo_epi32(_mm512_add_epi32(steps, _mm512_set1_epi32(first)),
                                           _mm512_set1_epi32(static_cast<int>(0x9E3779B9u)));
  const __m512i words = _mm512_add_epi32(turns, _mm512_set1_epi32(static_cast<int>(dither.random)));
  return _mm512_srli_epi32(words, 32 - storage::kNoiseBits);
}

inline __m512 decode16(const std::int8_t* codes, float scale, Signed8 /*codec*/) {
  const __m512i whole = _mm512_cvtepi8_epi32(_mm_loadu_si128(reinterpret_cast<const __m128i*>(codes)));
  const __m512i curve = _mm512_slli_epi32(_mm512_abs_epi32(whole), Signed8::kShift);
  const __m512 y = _mm512_castsi512_ps(_mm512_add_epi32(curve, _mm512_set1_epi32(Signed8::kOne)));
  const __m512 magnitude =
      _mm512_mul_ps(_mm512_sub_ps(y, _mm512_set1_ps(1.0f)), _mm512_set1_ps(scale * Signed8::kStep));
  const __m512i sign = _mm512_and_si512(whole, _mm512_set1_epi32(static_cast<int>(storage::kSign)));
  return _mm512_castsi512_ps(_mm512_or_si512(_mm512_castps_si512(magnitude), sign));
}

inline __m512 decode16(const std::uint8_t* codes, float scale, Nonnegative8 /*codec*/) {
  const __m512i whole = _mm512_cvtepu8_epi32(_mm_loadu_si128(reinterpret_cast<const __m128i*>(codes)));
  const __m512 root = _mm512_mul_ps(_mm512_cvtepi32_ps(whole), _mm512_set1_ps(scale * Nonnegative8::kStep));
  return _mm512_mul_ps(root, root);
}

inline __m512i encode16(__m512 x, float inverse, __m512i noise, Signed8 /*codec*/) {
  constexpr int kHalf = 1 << (Signed8::kFine - 1);
  const __m512 y = _mm512_fmadd_ps(_mm512_abs_ps(x), _mm512_set1_ps(inverse), _mm512_set1_ps(1.0f));
  const __m512i curve =
      _mm512_add_epi32(_mm512_castps_si512(y), _mm512_set1_epi32(kHalf - static_cast<int>(Signed8::kOne)));
  const __m512i code =
      _mm512_srli_epi32(_mm512_add_epi32(curve, _mm512_slli_epi32(noise, Signed8::kFine)), Signed8::kShift);
  const __mmask16 negative = _mm512_movepi32_mask(_mm512_castps_si512(x));
  return _mm512_mask_sub_epi32(code, negative, _mm512_setzero_si512(), code);
}

inline __m512i encode16(__m512 root, float inverse, __m512i noise, Nonnegative8 /*codec*/) {
  const __m512 fixed = _mm512_fmadd_ps(root, _mm512_set1_ps(inverse), _mm512_set1_ps(Nonnegative8::kFixed));
  const __m512i code =
      _mm512_sub_epi32(_mm512_castps_si512(fixed),
                       _mm512_set1_epi32(static_cast<int>(storage::bits_of(Nonnegative8::kFixed))));
  const __m512i rounded = _mm512_srai_epi32(_mm512_add_epi32(code, noise), storage::kNoiseBits);
  const __m512i least = _mm512_min_epi32(_mm512_castps_si512(root), _mm512_set1_epi32(1));
  return _mm512_max_epi32(rounded, least);
}

template <class Codec>
inline void decode_group(const typename Codec::Code* codes, float scale, float* values) {
  _mm512_storeu_ps(values, decode16(codes, scale, Codec{}));
  _mm512_storeu_ps(values + 16, decode16(codes + 16, scale, Codec{}));
}

/// Of staged values; returns the scale.
template <class Codec>
inline std::uint16_t encode_group(const float* staged, storage::Dither dither, typename Codec::Code* codes) {
  const __m512 low = _mm512_loadu_ps(staged), high = _mm512_loadu_ps(staged + 16);
  const __m512i largest =
      _mm512_max_epi32(_mm512_castps_si512(_mm512_abs_ps(low)), _mm512_castps_si512(_mm512_abs_ps(high)));
  const std::uint16_t stored = Codec::scale(static_cast<storage::Bits>(_mm512_reduce_max_epi32(largest)));
  const float scale = storage::BFloat16::decode(stored);
  const float inverse = Codec::inverse(scale);
  const __m512i mask = _mm512_set1_epi32(storage::group_mask(scale));
  const __m512i first = encode16(low, inverse, lattice(dither, 0), Codec{});
  const __m512i second = encode16(high, inverse, lattice(dither, 16), Codec{});
  auto* const to = reinterpret_cast<__m128i*>(codes);
  _mm_storeu_si128(to, _mm512_cvtepi32_epi8(_mm512_and_si512(first, mask)));
  _mm_storeu_si128(to + 1, _mm512_cvtepi32_epi8(_mm512_and_si512(second, mask)));
  return stored;
}

#endif

template <class Codec>
inline void decode_some(const typename Codec::Code* __restrict codes, float scale, float* __restrict values,
                        int count) {
  for (int i = 0; i < count; ++i) values[i] = Codec::decode(codes[i], scale);
}

template <class Codec>
inline std::uint16_t encode_some(const float* __restrict staged, storage::Dither dither,
                                 typename Codec::Code* __restrict codes, int count) {
  std::int32_t largest = 0;  // signed, and `<`: gcc leaves the other forms of a maximum scalar
  for (int i = 0; i < count; ++i) {
    const auto magnitude = static_cast<std::int32_t>(storage::magnitude_of(staged[i]));
    largest = largest < magnitude ? magnitude : largest;
  }
  const std::uint16_t stored = Codec::scale(static_cast<storage::Bits>(largest));
  const float scale = storage::BFloat16::decode(stored);
  for (int i = 0; i < count; ++i) {
    codes[i] = Codec::encode(staged[i], scale, dither.at<storage::kNoiseBits>(i));
  }
  return stored;
}

#if !defined(__AVX512BW__)

template <class Codec>
inline void decode_group(const typename Codec::Code* codes, float scale, float* values) {
  decode_some<Codec>(codes, scale, values, storage::kGroup);
}

template <class Codec>
inline std::uint16_t encode_group(const float* staged, storage::Dither dither, typename Codec::Code* codes) {
  return encode_some<Codec>(staged, dither, codes, storage::kGroup);
}

#endif

}  // namespace
}  // namespace onepass::cpu
