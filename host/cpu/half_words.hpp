// half_words.hpp - a group of 32 numbers in AVX-512: two vectors of 32-bit lanes, or one of 16-bit words, and
// the ways between them. Compiled for instruction sets that have it.
#pragma once

#include <array>
#include <cstdint>

#include "host/cpu/intrinsics.hpp"

// Internal linkage, as in sweep.hpp.
namespace onepass::cpu {
namespace {

/// Numbers 0 to 15, and 16 to 31.
struct Halves {
  __m512i first, second;
};

inline __m512i bits(__m512 x) { return _mm512_castps_si512(x); }
inline __m512 floats(__m512i x) { return _mm512_castsi512_ps(x); }
inline __m512i all(std::uint32_t x) { return _mm512_set1_epi32(static_cast<int>(x)); }

inline Halves load(const float* from) { return {_mm512_loadu_si512(from), _mm512_loadu_si512(from + 16)}; }
inline void store(float* to, Halves x) {
  _mm512_storeu_si512(to, x.first);
  _mm512_storeu_si512(to + 16, x.second);
}

/// Bits of a where the mask has ones, else of b.
inline __m512i chosen(__m512i mask, __m512i a, __m512i b) {
  return _mm512_ternarylogic_epi32(mask, a, b, 0xca);
}

using WordIndices = std::array<std::uint16_t, 32>;

/// Places of words in a pair of vectors, the second's from 32 on.
template <class Place>
constexpr WordIndices indices(Place place) {
  WordIndices result{};
  for (int i = 0; i < 32; ++i) result[static_cast<std::size_t>(i)] = static_cast<std::uint16_t>(place(i));
  return result;
}

/// 32-bit lanes of lower and upper words.
inline Halves join(__m512i lower, __m512i upper) {
  alignas(64) static constexpr WordIndices kFirst = indices([](int i) { return i / 2 + i % 2 * 32; });
  alignas(64) static constexpr WordIndices kSecond = indices([](int i) { return 16 + i / 2 + i % 2 * 32; });
  return {_mm512_permutex2var_epi16(lower, _mm512_load_si512(kFirst.data()), upper),
          _mm512_permutex2var_epi16(lower, _mm512_load_si512(kSecond.data()), upper)};
}

inline __m512i lower_words(Halves x) {
  alignas(64) static constexpr WordIndices kEven = indices([](int i) { return 2 * i; });
  return _mm512_permutex2var_epi16(x.first, _mm512_load_si512(kEven.data()), x.second);
}

inline __m512i upper_words(Halves x) {
  alignas(64) static constexpr WordIndices kOdd = indices([](int i) { return 2 * i + 1; });
  return _mm512_permutex2var_epi16(x.first, _mm512_load_si512(kOdd.data()), x.second);
}

/// 32 bytes as words.
inline __m512i signed_words(const void* bytes) {
  return _mm512_cvtepi8_epi16(_mm256_loadu_si256(static_cast<const __m256i*>(bytes)));
}
inline __m512i unsigned_words(const void* bytes) {
  return _mm512_cvtepu8_epi16(_mm256_loadu_si256(static_cast<const __m256i*>(bytes)));
}

/// The lower byte of each word, 0 where the mask has none.
inline void store_bytes(void* to, __m512i words, __mmask32 mask = 0xffffffffu) {
  _mm256_storeu_si256(static_cast<__m256i*>(to), _mm512_maskz_cvtepi16_epi8(mask, words));
}

}  // namespace
}  // namespace onepass::cpu
