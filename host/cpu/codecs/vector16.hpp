// vector16.hpp - operations on vectors of 16-bit elements, and between them and float32, for AVX2 and
// AVX-512. block_codec.hpp is written in them. Compiled once for each instruction set.
#pragma once

#include <array>
#include <cstddef>
#include <cstdint>

#include "host/cpu/codecs/intrinsics.hpp"
#include "host/cpu/codecs/stores.hpp"
#include "onepass/arithmetic/bits.hpp"

// Internal linkage: loops/update.hpp says why.
namespace onepass::cpu {
namespace {

/// The order that a block's elements have while they are float32. `natural` is the order in memory. `pairs`
/// needs no permutation: two neighbours stay in their 32-bit lane, so widening yields a vector of all even
/// elements, then one of all odd elements. The rule treats every element alike and so works in either order,
/// but a stream of 32-bit numbers lies in natural order: `pairs` needs a block without such streams.
enum class Order { natural, pairs };

#if defined(__AVX512BW__)

/// One vector. A name that ends in 16 works on lanes of 16 bits, all others on lanes of 32 bits.
struct Vector16 {
  static constexpr int kLanes = 16;  ///< Lanes of 32 bits.
  using Whole = __m512i;             ///< Integers of any width.
  using Real = __m512;               ///< float32.

  /// The same number in each 32-bit lane.
  static Whole all(storage::Bits x) { return _mm512_set1_epi32(static_cast<int>(x)); }
  static Whole load(const void* from) { return _mm512_loadu_si512(from); }
  static void store(void* to, Whole x) { _mm512_storeu_si512(to, x); }
  /// Stores a vector. Writes::past_cache needs whole cache lines (writes_to()).
  static void write(void* to, Whole x, Writes how) {
    how == Writes::past_cache ? _mm512_stream_si512(static_cast<__m512i*>(to), x) : store(to, x);
  }
  /// The same bits, as float32.
  static Real real(Whole x) { return _mm512_castsi512_ps(x); }
  /// The same bits, as integers.
  static Whole whole(Real x) { return _mm512_castps_si512(x); }

  /// Moves the lower 16 bits of each 32-bit lane to its upper 16, above zeros.
  static Whole to_upper(Whole x) { return _mm512_slli_epi32(x, 16); }
  /// Moves the upper 16 bits of each 32-bit lane to its lower 16, below zeros.
  static Whole to_lower(Whole x) { return _mm512_srli_epi32(x, 16); }
  static Whole bit_and(Whole a, Whole b) { return _mm512_and_si512(a, b); }
  static Whole bit_xor(Whole a, Whole b) { return _mm512_xor_si512(a, b); }
  /// a | (b & c).
  static Whole or_and(Whole a, Whole b, Whole c) { return _mm512_ternarylogic_epi32(a, b, c, 0xf8); }

  /// Takes the lower 16 bits of each 32-bit lane from `lower`, the upper 16 from `upper`.
  static constexpr __mmask32 kUpper = 0xaaaaaaaau;
  static Whole join(Whole lower, Whole upper) { return _mm512_mask_blend_epi16(kUpper, lower, upper); }

  /// The same number in each 16-bit lane.
  static Whole all16(std::uint16_t x) { return _mm512_set1_epi16(static_cast<short>(x)); }
  /// a - b, modulo 2^16.
  static Whole subtract16(Whole a, Whole b) { return _mm512_sub_epi16(a, b); }
  /// x + 1 where a > b as unsigned numbers, else x.
  static Whole plus_one_if_above16(Whole x, Whole a, Whole b) {
    return _mm512_mask_add_epi16(x, _mm512_cmpgt_epu16_mask(a, b), x, _mm512_set1_epi16(1));
  }
  /// Rounds x, whose next 16 bits are `lower`, to nearest even: x + 1 where `lower` > 0x8000, or where
  /// `lower` == 0x8000 and x is odd. Setting the last bit of `lower` where x is odd turns such a tie into
  /// the first case.
  static Whole round_to_even(Whole x, Whole lower) {
    return plus_one_if_above16(x, or_and(lower, x, all(0x00010001u)), all(0x80008000u));
  }
  /// x + 1 where `sign` has its top bit set, else x.
  static Whole plus_one_if_negative16(Whole x, Whole sign) {
    return plus_one_if_above16(x, sign, all(0x7fff7fffu));
  }
  /// x - 1 where `sign` has its top bit set, else x.
  static Whole minus_one_if_negative16(Whole x, Whole sign) {
    return _mm512_mask_sub_epi16(x, _mm512_movepi16_mask(sign), x, _mm512_set1_epi16(1));
  }
  /// Returns true if a > b, as signed numbers, in any lane.
  static bool any_greater16(Whole a, Whole b) { return _mm512_cmpgt_epi16_mask(a, b) != 0; }
  /// `yes` where a > b as signed numbers, else `no`.
  static Whole select_if_greater16(Whole a, Whole b, Whole yes, Whole no) {
    return _mm512_mask_mov_epi16(no, _mm512_cmpgt_epi16_mask(a, b), yes);
  }

  static bool any_nan(Real a, Real b) { return _mm512_cmp_ps_mask(a, b, _CMP_UNORD_Q) != 0; }
  /// x, with the bits `otherwise` in place of each NaN.
  static Real replace_nan(Real x, Whole otherwise) {
    return _mm512_mask_mov_ps(x, _mm512_cmp_ps_mask(x, x, _CMP_UNORD_Q), real(otherwise));
  }

  /// Rounds two vectors to bfloat16, to nearest even; the result holds the numbers of `first`, then those of
  /// `last`. Named in assembly, because the same object serves processors that have the instruction
  /// (Isa::avx512_bf16) and processors that do not. It takes denormals for 0, and keeps the bits of a NaN.
  static Whole to_bfloat16(Real first, Real last) {
    Whole narrow;
    __asm__("vcvtne2ps2bf16 %[first], %[last], %[narrow]"
            : [narrow] "=v"(narrow)
            : [first] "v"(first), [last] "v"(last));
    return narrow;
  }
  /// Returns true if neither vector holds a denormal or NaN.
  static bool no_denormal_or_nan(Real a, Real b) {
    constexpr int kQuietNaN = 0x01, kSignalingNaN = 0x80, kDenormal = 0x20;
    constexpr int kOdd = kQuietNaN | kSignalingNaN | kDenormal;
    return _kortestz_mask16_u8(_mm512_fpclass_ps_mask(a, kOdd), _mm512_fpclass_ps_mask(b, kOdd)) != 0;
  }

  /// Loads kLanes numbers of binary16. The processor's conversion keeps denormals, whatever its modes.
  static Real load_binary16(const std::uint16_t* from) {
    return _mm512_cvtph_ps(_mm256_loadu_si256(reinterpret_cast<const __m256i*>(from)));
  }
  /// Stores kLanes numbers as binary16, rounded to nearest even.
  static void store_binary16(std::uint16_t* to, Real x, Writes how) {
    const __m256i narrow = _mm512_cvtps_ph(x, _MM_FROUND_TO_NEAREST_INT);
    auto* const at = reinterpret_cast<__m256i*>(to);
    how == Writes::past_cache ? _mm256_stream_si256(at, narrow) : _mm256_storeu_si256(at, narrow);
  }
};

#elif defined(__AVX2__)

/// One vector. A name that ends in 16 works on lanes of 16 bits, all others on lanes of 32 bits.
struct Vector16 {
  static constexpr int kLanes = 8;  ///< Lanes of 32 bits.
  using Whole = __m256i;            ///< Integers of any width.
  using Real = __m256;              ///< float32.

  /// The same number in each 32-bit lane.
  static Whole all(storage::Bits x) { return _mm256_set1_epi32(static_cast<int>(x)); }
  static Whole load(const void* from) { return _mm256_loadu_si256(static_cast<const __m256i*>(from)); }
  static void store(void* to, Whole x) { _mm256_storeu_si256(static_cast<__m256i*>(to), x); }
  /// Stores a vector. Writes::past_cache needs whole cache lines (writes_to()).
  static void write(void* to, Whole x, Writes how) {
    how == Writes::past_cache ? _mm256_stream_si256(static_cast<__m256i*>(to), x) : store(to, x);
  }
  /// The same bits, as float32.
  static Real real(Whole x) { return _mm256_castsi256_ps(x); }
  /// The same bits, as integers.
  static Whole whole(Real x) { return _mm256_castps_si256(x); }

  /// Moves the lower 16 bits of each 32-bit lane to its upper 16, above zeros.
  static Whole to_upper(Whole x) { return _mm256_slli_epi32(x, 16); }
  /// Moves the upper 16 bits of each 32-bit lane to its lower 16, below zeros.
  static Whole to_lower(Whole x) { return _mm256_srli_epi32(x, 16); }
  static Whole bit_and(Whole a, Whole b) { return _mm256_and_si256(a, b); }
  static Whole bit_xor(Whole a, Whole b) { return _mm256_xor_si256(a, b); }
  /// a | (b & c).
  static Whole or_and(Whole a, Whole b, Whole c) { return _mm256_or_si256(a, bit_and(b, c)); }

  /// Takes the lower 16 bits of each 32-bit lane from `lower`, the upper 16 from `upper`.
  static Whole join(Whole lower, Whole upper) { return _mm256_blend_epi16(lower, upper, 0xaa); }

  /// The same number in each 16-bit lane.
  static Whole all16(std::uint16_t x) { return _mm256_set1_epi16(static_cast<short>(x)); }
  /// a - b, modulo 2^16.
  static Whole subtract16(Whole a, Whole b) { return _mm256_sub_epi16(a, b); }
  /// x + 1 where a > b as unsigned numbers, else x.
  static Whole plus_one_if_above16(Whole x, Whole a, Whole b) {
    const Whole sign = all(0x80008000u);  // AVX2 compares signed numbers only
    return _mm256_sub_epi16(x, _mm256_cmpgt_epi16(bit_xor(a, sign), bit_xor(b, sign)));
  }
  /// Rounds x, whose next 16 bits are `lower`, to nearest even: x + 1 where `lower` > 0x8000, or where
  /// `lower` == 0x8000 and x is odd. Where x is even, `lower` is first reduced by one, saturating at 0: then
  /// x is rounded up where the top bit of `lower` is set.
  static Whole round_to_even(Whole x, Whole lower) {
    const Whole even = _mm256_andnot_si256(x, all(0x00010001u));
    return plus_one_if_negative16(x, _mm256_subs_epu16(lower, even));
  }
  /// x + 1 where `sign` has its top bit set, else x.
  static Whole plus_one_if_negative16(Whole x, Whole sign) {
    return _mm256_sub_epi16(x, _mm256_cmpgt_epi16(all(0), sign));
  }
  /// x - 1 where `sign` has its top bit set, else x.
  static Whole minus_one_if_negative16(Whole x, Whole sign) {
    return _mm256_add_epi16(x, _mm256_srai_epi16(sign, 15));
  }
  /// Returns true if a > b, as signed numbers, in any lane.
  static bool any_greater16(Whole a, Whole b) { return _mm256_movemask_epi8(_mm256_cmpgt_epi16(a, b)) != 0; }
  /// `yes` where a > b as signed numbers, else `no`.
  static Whole select_if_greater16(Whole a, Whole b, Whole yes, Whole no) {
    return _mm256_blendv_epi8(no, yes, _mm256_cmpgt_epi16(a, b));
  }

  static bool any_nan(Real a, Real b) { return _mm256_movemask_ps(_mm256_cmp_ps(a, b, _CMP_UNORD_Q)) != 0; }
  /// x, with the bits `otherwise` in place of each NaN.
  static Real replace_nan(Real x, Whole otherwise) {
    return _mm256_blendv_ps(x, real(otherwise), _mm256_cmp_ps(x, x, _CMP_UNORD_Q));
  }

  /// Loads kLanes numbers of binary16. The processor's conversion keeps denormals, whatever its modes.
  static Real load_binary16(const std::uint16_t* from) {
    return _mm256_cvtph_ps(_mm_loadu_si128(reinterpret_cast<const __m128i*>(from)));
  }
  /// Stores kLanes numbers as binary16, rounded to nearest even.
  static void store_binary16(std::uint16_t* to, Real x, Writes how) {
    const __m128i narrow = _mm256_cvtps_ph(x, _MM_FROUND_TO_NEAREST_INT);
    auto* const at = reinterpret_cast<__m128i*>(to);
    how == Writes::past_cache ? _mm_stream_si128(at, narrow) : _mm_storeu_si128(at, narrow);
  }
};

#endif

#if defined(__AVX2__)

/// Two vectors of float32, as their bits: the first kLanes of some elements and the last kLanes, in the order
/// of the block (Order).
struct FirstAndLast {
  Vector16::Whole first, last;
};

/// Converts between one vector of 16-bit elements, as they lie in memory, and two of float32 in kOrder. This
/// is Order::pairs; the specialisations below are Order::natural.
template <Order kOrder>
struct Layout {
  using V = Vector16;
  using Whole = Vector16::Whole;

  /// float32 whose upper 16 bits are the given elements and whose lower 16 bits are 0.
  static FirstAndLast widened(Whole upper) {
    return {V::to_upper(upper), V::bit_and(upper, V::all(0xffff0000u))};
  }
  static FirstAndLast widened(const std::uint16_t* from) { return widened(V::load(from)); }
  /// The first and the last float32, from the lower and the upper 16 bits of each element.
  static Whole first(Whole lower, Whole upper) { return V::join(lower, V::to_upper(upper)); }
  static Whole last(Whole lower, Whole upper) { return V::join(V::to_lower(lower), upper); }
  /// The upper and the lower 16 bits of each element of two vectors of float32.
  static Whole uppers(Whole first, Whole last) { return V::join(V::to_lower(first), last); }
  static Whole lowers(Whole first, Whole last) { return V::join(first, V::to_upper(last)); }
  /// Brings what uppers() or lowers() returns into the order in memory.
  static Whole stored(Whole elements) { return elements; }
  /// The element whose bits uppers() and lowers() put at position `place`.
  static constexpr int element_at(int place) { return place; }
};

#endif

#if defined(__AVX512BW__)

/// The permutations of 16-bit elements that are used below. Their source is one vector, or two in a row.
enum class Permutation {
  even,              ///< The even elements of two vectors.
  odd,               ///< The odd elements of two vectors.
  interleave_first,  ///< The first 16 elements of two vectors, alternating.
  interleave_last,   ///< The last 16 elements of two vectors, alternating.
  interleave_halves  ///< The first and the last 16 elements of one vector, alternating.
};

/// The source index of each element of a permutation, as the instructions take them.
template <Permutation kPermutation>
alignas(64) inline constexpr auto kIndices = [] {
  std::array<std::uint16_t, 2 * Vector16::kLanes> indices{};
  for (std::size_t i = 0; i < indices.size(); ++i) {
    const std::size_t of_first_halves = i % 2 * indices.size() + i / 2;
    const std::size_t of_own_halves = i % 2 * Vector16::kLanes + i / 2;
    indices[i] = static_cast<std::uint16_t>(kPermutation == Permutation::even               ? 2 * i
                                            : kPermutation == Permutation::odd              ? 2 * i + 1
                                            : kPermutation == Permutation::interleave_first ? of_first_halves
                                            : kPermutation == Permutation::interleave_halves
                                                ? of_own_halves
                                                : of_first_halves + Vector16::kLanes);
  }
  return indices;
}();

template <>
struct Layout<Order::natural> {
  using V = Vector16;
  using Whole = Vector16::Whole;

  static FirstAndLast widened(Whole upper) {
    return {above_zeros<Permutation::interleave_first>(upper),
            above_zeros<Permutation::interleave_last>(upper)};
  }
  static FirstAndLast widened(const std::uint16_t* from) { return widened(V::load(from)); }
  static Whole first(Whole lower, Whole upper) {
    return permuted<Permutation::interleave_first>(lower, upper);
  }
  static Whole last(Whole lower, Whole upper) { return permuted<Permutation::interleave_last>(lower, upper); }
  static Whole uppers(Whole first, Whole last) { return permuted<Permutation::odd>(first, last); }
  static Whole lowers(Whole first, Whole last) { return permuted<Permutation::even>(first, last); }
  static Whole stored(Whole elements) { return elements; }
  static constexpr int element_at(int place) { return place; }

 private:
  template <Permutation kPermutation>
  static Whole permuted(Whole a, Whole b) {
    return _mm512_permutex2var_epi16(a, V::load(kIndices<kPermutation>.data()), b);
  }
  template <Permutation kPermutation>
  static Whole above_zeros(Whole upper) {
    return _mm512_maskz_permutexvar_epi16(V::kUpper, V::load(kIndices<kPermutation>.data()), upper);
  }
};

#elif defined(__AVX2__)

/// AVX2 has few permutations that cross the 128-bit halves of a register, and they are slow. Widening does
/// without them: both 128-bit halves load the same eight elements, and each takes four of them. Narrowing
/// joins elements that are kLanes apart, and stored() permutes them once.
template <>
struct Layout<Order::natural> {
  using Pairs = Layout<Order::pairs>;
  using Whole = Vector16::Whole;

  static FirstAndLast widened(const std::uint16_t* from) {
    return {above_zeros(from), above_zeros(from + Vector16::kLanes)};
  }
  static Whole uppers(Whole first, Whole last) { return Pairs::uppers(first, last); }
  static Whole lowers(Whole first, Whole last) { return Pairs::lowers(first, last); }
  static Whole stored(Whole elements) {
    const __m128i order = _mm_setr_epi8(0, 1, 4, 5, 8, 9, 12, 13, 2, 3, 6, 7, 10, 11, 14, 15);
    return _mm256_permute4x64_epi64(_mm256_shuffle_epi8(elements, _mm256_broadcastsi128_si256(order)), 0xd8);
  }
  static constexpr int element_at(int place) { return place / 2 + place % 2 * Vector16::kLanes; }

 private:
  static Whole above_zeros(const std::uint16_t* from) {
    const Whole twice = _mm256_broadcastsi128_si256(_mm_loadu_si128(reinterpret_cast<const __m128i*>(from)));
    const Whole places = _mm256_setr_epi8(-1, -1, 0, 1, -1, -1, 2, 3, -1, -1, 4, 5, -1, -1, 6, 7, -1, -1, 8,
                                          9, -1, -1, 10, 11, -1, -1, 12, 13, -1, -1, 14, 15);
    return _mm256_shuffle_epi8(twice, places);
  }
};

#endif

}  // namespace
}  // namespace onepass::cpu
