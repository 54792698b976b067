// vector8.hpp - operations on vectors of 8-bit elements, beside those of vector16.hpp, for AVX2 and AVX-512.
// Compiled once for each instruction set.
#pragma once

#include <algorithm>
#include <cstdint>

#include "host/cpu/codecs/vector16.hpp"

// Internal linkage: loops/update.hpp says why.
namespace onepass::cpu {
namespace {

#if defined(__AVX2__)

/// One float32 for each element of a span (kSpan), in pairs (Order::pairs). All numbers of formats with 8-bit
/// states are in pairs while they are float32, because that takes the fewest operations: a permutation of
/// 16-bit lanes from two registers takes an Intel core two cycles, where pairs take a shift and a blend.
struct FirstAndLastReals {
  Vector16::Real first, last;
};

#endif

#if defined(__AVX512BW__)

struct Vector8 : Vector16 {
  // Lanes of 32 bits, as signed numbers.
  static Whole add(Whole a, Whole b) { return _mm512_add_epi32(a, b); }
  static Whole larger(Whole a, Whole b) { return _mm512_max_epi32(a, b); }
  template <int kBits>
  static Whole shift_right(Whole x) {
    return _mm512_srli_epi32(x, kBits);
  }
  /// `yes` where a > b, else `no`.
  static Whole select_if_greater(Whole a, Whole b, Whole yes, Whole no) {
    return _mm512_mask_mov_epi32(no, _mm512_cmpgt_epi32_mask(a, b), yes);
  }
  /// `yes` where a > b, else 0.
  static Whole zero_unless_greater(Whole a, Whole b, Whole yes) {
    return _mm512_maskz_mov_epi32(_mm512_cmpgt_epi32_mask(a, b), yes);
  }
  /// One bit for each lane, set where a > b; the first lane has the lowest bit.
  static unsigned greater_mask(Whole a, Whole b) { return _mm512_cmpgt_epi32_mask(a, b); }

  /// The same number in each lane.
  static Real reals(float x) { return _mm512_set1_ps(x); }
  static Real multiply(Real a, Real b) { return _mm512_mul_ps(a, b); }
  /// a * b + c, rounded once.
  static Real multiply_add(Real a, Real b, Real c) { return _mm512_fmadd_ps(a, b, c); }
  /// a * b - c, rounded once.
  static Real multiply_subtract(Real a, Real b, Real c) { return _mm512_fmsub_ps(a, b, c); }
  static Real divide(Real a, Real b) { return _mm512_div_ps(a, b); }

  // Lanes of 16 bits, as signed numbers unless the name says otherwise.
  static Whole add16(Whole a, Whole b) { return _mm512_add_epi16(a, b); }
  static Whole larger16(Whole a, Whole b) { return _mm512_max_epi16(a, b); }
  static Whole smaller16(Whole a, Whole b) { return _mm512_min_epi16(a, b); }
  static Whole magnitudes16(Whole x) { return _mm512_abs_epi16(x); }
  template <int kBits>
  static Whole shift_left16(Whole x) {
    return _mm512_slli_epi16(x, kBits);
  }
  template <int kBits>
  static Whole shift_right16(Whole x) {
    return _mm512_srli_epi16(x, kBits);
  }
  template <int kBits>
  static Whole shift_right_signed16(Whole x) {
    return _mm512_srai_epi16(x, kBits);
  }
  static bool any_negative16(Whole x) { return _mm512_movepi16_mask(x) != 0; }
  /// -x where `other` is negative, else x. Where `other` is 0, x must be 0.
  static Whole with_sign_of16(Whole x, Whole other) {
    return _mm512_mask_sub_epi16(x, _mm512_movepi16_mask(other), _mm512_setzero_si512(), x);
  }
  /// For each 16-bit lane of `signs` one number: `negative` where the lane is below 0, else `positive`.
  static FirstAndLastReals by_sign(Whole signs, Real positive, Real negative) {
    return {_mm512_mask_mov_ps(positive, _mm512_test_epi32_mask(signs, all(0x8000)), negative),
            _mm512_mask_mov_ps(positive, _mm512_movepi32_mask(signs), negative)};
  }

  // 8-bit elements, each widened to a 16-bit lane. A span is loaded at a time, a whole block stored.
  static Whole load_signed(const void* from) { return _mm512_cvtepi8_epi16(bytes(from)); }
  static Whole load_unsigned(const void* from) { return _mm512_cvtepu8_epi16(bytes(from)); }
  static void store_bytes(void* to, const Whole (&lanes)[1]) {
    _mm256_storeu_si256(static_cast<__m256i*>(to), _mm512_cvtepi16_epi8(lanes[0]));
  }
  /// Makes any 16-bit lanes fit for store_bytes(), which here drops the upper bytes by itself.
  static Whole lower_bytes(Whole lanes) { return lanes; }

  /// Stores the lower 16 bits of the first `count` 32-bit lanes.
  static void store_lowers(std::uint16_t* to, Whole x, int count) {
    _mm512_mask_cvtepi32_storeu_epi16(to, static_cast<__mmask16>((1u << count) - 1), x);
  }

  /// From natural order to pairs: the even numbers of a span, and the odd ones.
  static Whole evens(Whole first, Whole last) { return every_other<0>(first, last); }
  static Whole odds(Whole first, Whole last) { return every_other<1>(first, last); }
  /// From pairs to natural order: the first and the last numbers of a span.
  static Whole first_of_pairs(Whole evens, Whole odds) { return alternating<0>(evens, odds); }
  static Whole last_of_pairs(Whole evens, Whole odds) { return alternating<kLanes / 2>(evens, odds); }

  /// A vector of the largest lane of each of kLanes vectors, in their order.
  static Whole largest_of_each(const Whole (&of)[kLanes]) {
    const auto pairs = [](Whole a, Whole b) {
      return larger(_mm512_unpacklo_epi32(a, b), _mm512_unpackhi_epi32(a, b));
    };
    const auto fours = [](Whole a, Whole b) {
      return larger(_mm512_unpacklo_epi64(a, b), _mm512_unpackhi_epi64(a, b));
    };
    const auto lanes = [](Whole a, Whole b) {
      return larger(_mm512_shuffle_i32x4(a, b, 0x88), _mm512_shuffle_i32x4(a, b, 0xdd));
    };
    Whole four[4];
    for (int i = 0; i < 4; ++i) {
      four[i] = fours(pairs(of[4 * i], of[4 * i + 1]), pairs(of[4 * i + 2], of[4 * i + 3]));
    }
    return lanes(lanes(four[0], four[1]), lanes(four[2], four[3]));
  }

 private:
  static __m256i bytes(const void* from) { return _mm256_loadu_si256(static_cast<const __m256i*>(from)); }

  template <int kFirst>
  static Whole every_other(Whole first, Whole last) {
    const Whole indices = _mm512_setr_epi32(0, 2, 4, 6, 8, 10, 12, 14, 16, 18, 20, 22, 24, 26, 28, 30);
    return _mm512_permutex2var_epi32(first, add(indices, all(kFirst)), last);
  }
  template <int kFirst>
  static Whole alternating(Whole evens, Whole odds) {
    const Whole indices = _mm512_setr_epi32(0, 16, 1, 17, 2, 18, 3, 19, 4, 20, 5, 21, 6, 22, 7, 23);
    return _mm512_permutex2var_epi32(evens, add(indices, all(kFirst)), odds);
  }
};

#elif defined(__AVX2__)

struct Vector8 : Vector16 {
  // Lanes of 32 bits, as signed numbers.
  static Whole add(Whole a, Whole b) { return _mm256_add_epi32(a, b); }
  static Whole larger(Whole a, Whole b) { return _mm256_max_epi32(a, b); }
  template <int kBits>
  static Whole shift_right(Whole x) {
    return _mm256_srli_epi32(x, kBits);
  }
  /// `yes` where a > b, else `no`.
  static Whole select_if_greater(Whole a, Whole b, Whole yes, Whole no) {
    return _mm256_blendv_epi8(no, yes, _mm256_cmpgt_epi32(a, b));
  }
  /// `yes` where a > b, else 0.
  static Whole zero_unless_greater(Whole a, Whole b, Whole yes) {
    return bit_and(yes, _mm256_cmpgt_epi32(a, b));
  }
  /// One bit for each lane, set where a > b; the first lane has the lowest bit.
  static unsigned greater_mask(Whole a, Whole b) {
    return static_cast<unsigned>(_mm256_movemask_ps(real(_mm256_cmpgt_epi32(a, b))));
  }

  /// The same number in each lane.
  static Real reals(float x) { return _mm256_set1_ps(x); }
  static Real multiply(Real a, Real b) { return _mm256_mul_ps(a, b); }
  /// a * b + c, rounded once.
  static Real multiply_add(Real a, Real b, Real c) { return _mm256_fmadd_ps(a, b, c); }
  /// a * b - c, rounded once.
  static Real multiply_subtract(Real a, Real b, Real c) { return _mm256_fmsub_ps(a, b, c); }
  static Real divide(Real a, Real b) { return _mm256_div_ps(a, b); }

  // Lanes of 16 bits, as signed numbers unless the name says otherwise.
  static Whole add16(Whole a, Whole b) { return _mm256_add_epi16(a, b); }
  static Whole larger16(Whole a, Whole b) { return _mm256_max_epi16(a, b); }
  static Whole smaller16(Whole a, Whole b) { return _mm256_min_epi16(a, b); }
  static Whole magnitudes16(Whole x) { return _mm256_abs_epi16(x); }
  template <int kBits>
  static Whole shift_left16(Whole x) {
    return _mm256_slli_epi16(x, kBits);
  }
  template <int kBits>
  static Whole shift_right16(Whole x) {
    return _mm256_srli_epi16(x, kBits);
  }
  template <int kBits>
  static Whole shift_right_signed16(Whole x) {
    return _mm256_srai_epi16(x, kBits);
  }
  static bool any_negative16(Whole x) { return (_mm256_movemask_epi8(x) & kUpperBytes) != 0; }
  /// -x where `other` is negative, else x. Where `other` is 0, x must be 0.
  static Whole with_sign_of16(Whole x, Whole other) { return _mm256_sign_epi16(x, other); }
  /// For each 16-bit lane of `signs` one number: `negative` where the lane is below 0, else `positive`.
  static FirstAndLastReals by_sign(Whole signs, Real positive, Real negative) {
    return {_mm256_blendv_ps(positive, negative, real(to_upper(signs))),
            _mm256_blendv_ps(positive, negative, real(signs))};
  }

  // 8-bit elements, each widened to a 16-bit lane. A span is loaded at a time, a whole block stored.
  static Whole load_signed(const void* from) { return _mm256_cvtepi8_epi16(bytes(from)); }
  static Whole load_unsigned(const void* from) { return _mm256_cvtepu8_epi16(bytes(from)); }
  static void store_bytes(void* to, const Whole (&lanes)[2]) {
    store(to, _mm256_permute4x64_epi64(_mm256_packus_epi16(lanes[0], lanes[1]), 0xd8));
  }
  /// Makes any 16-bit lanes fit for store_bytes(), which saturates: clears the upper bytes.
  static Whole lower_bytes(Whole lanes) { return bit_and(lanes, all16(0xff)); }

  /// Stores the lower 16 bits of the first `count` 32-bit lanes. Their upper 16 bits must be 0.
  static void store_lowers(std::uint16_t* to, Whole x, int count) {
    const Whole packed = _mm256_permute4x64_epi64(_mm256_packus_epi32(x, x), 0xd8);
    const __m128i lowers = _mm256_castsi256_si128(packed);
    if (__builtin_expect(count >= kLanes, 1)) {
      return _mm_storeu_si128(reinterpret_cast<__m128i*>(to), lowers);
    }
    std::uint16_t each[kLanes];
    _mm_storeu_si128(reinterpret_cast<__m128i*>(each), lowers);
    if (count > 0) std::copy_n(each, count, to);
  }

  /// From natural order to pairs: the even numbers of a span, and the odd ones.
  static Whole evens(Whole first, Whole last) { return every_other<0x88>(first, last); }
  static Whole odds(Whole first, Whole last) { return every_other<0xdd>(first, last); }
  /// From pairs to natural order: the first and the last numbers of a span.
  static Whole first_of_pairs(Whole evens, Whole odds) {
    return _mm256_permute2x128_si256(_mm256_unpacklo_epi32(evens, odds), _mm256_unpackhi_epi32(evens, odds),
                                     0x20);
  }
  static Whole last_of_pairs(Whole evens, Whole odds) {
    return _mm256_permute2x128_si256(_mm256_unpacklo_epi32(evens, odds), _mm256_unpackhi_epi32(evens, odds),
                                     0x31);
  }

  /// A vector of the largest lane of each of kLanes vectors, in their order.
  static Whole largest_of_each(const Whole (&of)[kLanes]) {
    const auto pairs = [](Whole a, Whole b) {
      return larger(_mm256_unpacklo_epi32(a, b), _mm256_unpackhi_epi32(a, b));
    };
    const auto fours = [](Whole a, Whole b) {
      return larger(_mm256_unpacklo_epi64(a, b), _mm256_unpackhi_epi64(a, b));
    };
    const Whole low = fours(pairs(of[0], of[1]), pairs(of[2], of[3]));
    const Whole high = fours(pairs(of[4], of[5]), pairs(of[6], of[7]));
    return larger(_mm256_permute2x128_si256(low, high, 0x20), _mm256_permute2x128_si256(low, high, 0x31));
  }

 private:
  static constexpr int kUpperBytes = static_cast<int>(0xaaaaaaaau);

  static __m128i bytes(const void* from) { return _mm_loadu_si128(static_cast<const __m128i*>(from)); }

  template <int kPermutation>
  static Whole every_other(Whole first, Whole last) {
    return _mm256_permute4x64_epi64(whole(_mm256_shuffle_ps(real(first), real(last), kPermutation)), 0xd8);
  }
};

#endif

}  // namespace
}  // namespace onepass::cpu
