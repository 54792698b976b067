// halves.hpp - vectors of float32 as their upper and lower 16 bits: what block_codec.hpp is written in, for
// AVX2 and AVX-512. Compiled once for each instruction set.
#pragma once

#include <array>
#include <cstddef>
#include <cstdint>

#include "host/cpu/codecs/intrinsics.hpp"
#include "host/cpu/codecs/stores.hpp"
#include "onepass/arithmetic/bits.hpp"

// Internal linkage, as in sweep.hpp.
namespace onepass::cpu {
namespace {

/// How the elements of a block lie while they are float32. What takes no permutation is to leave two
/// neighbours in their lane of 32 bits, and to widen one half of all lanes, then the other. A rule does not
/// mind, where no stream of the block has 32 bits.
enum class Order { natural, pairs };

#if defined(__AVX512BW__)

struct Halves {
  static constexpr int kLanes = 16;  ///< Of 32 bits.
  using Whole = __m512i;
  using Real = __m512;

  static Whole all(storage::Bits x) { return _mm512_set1_epi32(static_cast<int>(x)); }
  static Whole load(const void* from) { return _mm512_loadu_si512(from); }
  static void store(void* to, Whole x) { _mm512_storeu_si512(to, x); }
  /// Past the cache to whole lines only.
  static void write(void* to, Whole x, Writes how) {
    how == Writes::past_cache ? _mm512_stream_si512(static_cast<__m512i*>(to), x) : store(to, x);
  }
  static Real real(Whole x) { return _mm512_castsi512_ps(x); }
  static Whole whole(Real x) { return _mm512_castps_si512(x); }

  static Whole up(Whole x) { return _mm512_slli_epi32(x, 16); }
  static Whole down(Whole x) { return _mm512_srli_epi32(x, 16); }
  static Whole both(Whole a, Whole b) { return _mm512_and_si512(a, b); }
  static Whole differ(Whole a, Whole b) { return _mm512_xor_si512(a, b); }
  static Whole or_both(Whole a, Whole b, Whole c) { return _mm512_ternarylogic_epi32(a, b, c, 0xf8); }

  /// The lower half of each lane of one, the upper half of the other.
  static constexpr __mmask32 kUpper = 0xaaaaaaaau;
  static Whole join(Whole lower, Whole upper) { return _mm512_mask_blend_epi16(kUpper, lower, upper); }

  // Of lanes of 16 bits: all the same; a - b; x and one more where a > b, unsigned, where `lower` is more
  // than a half, or one and x odd, and where there is a sign; one less where there is one; a choice.
  static Whole all_halves(std::uint16_t x) { return _mm512_set1_epi16(static_cast<short>(x)); }
  static Whole subtract_halves(Whole a, Whole b) { return _mm512_sub_epi16(a, b); }
  static Whole plus_one_if_above(Whole x, Whole a, Whole b) {
    return _mm512_mask_add_epi16(x, _mm512_cmpgt_epu16_mask(a, b), x, _mm512_set1_epi16(1));
  }
  /// With x's last bit in the lower half too, a tie of an odd x is none.
  static Whole to_nearest(Whole x, Whole lower) {
    return plus_one_if_above(x, or_both(lower, x, all(0x00010001u)), all(0x80008000u));
  }
  static Whole plus_one_if_negative(Whole x, Whole sign) {
    return plus_one_if_above(x, sign, all(0x7fff7fffu));
  }
  static Whole minus_one_if_negative(Whole x, Whole sign) {
    return _mm512_mask_sub_epi16(x, _mm512_movepi16_mask(sign), x, _mm512_set1_epi16(1));
  }
  static bool any_greater(Whole a, Whole b) { return _mm512_cmpgt_epi16_mask(a, b) != 0; }
  static Whole select_if_greater(Whole a, Whole b, Whole yes, Whole no) {
    return _mm512_mask_mov_epi16(no, _mm512_cmpgt_epi16_mask(a, b), yes);
  }

  static bool any_nan(Real a, Real b) { return _mm512_cmp_ps_mask(a, b, _CMP_UNORD_Q) != 0; }
  static Real unless_nan(Real x, Whole otherwise) {
    return _mm512_mask_mov_ps(x, _mm512_cmp_ps_mask(x, x, _CMP_UNORD_Q), real(otherwise));
  }

  /// Two vectors as bfloat16, the first's numbers first, to the nearest. By name: this file is compiled for
  /// processors that have it (Isa::avx512_bf16) and others. It takes denormals for 0, and leaves NaN its
  /// bits.
  static Whole narrowed(Real first, Real last) {
    Whole narrow;
    __asm__("vcvtne2ps2bf16 %[first], %[last], %[narrow]"
            : [narrow] "=v"(narrow)
            : [first] "v"(first), [last] "v"(last));
    return narrow;
  }
  /// Whether there is neither a denormal nor NaN.
  static bool ordinary(Real a, Real b) {
    constexpr int kQuietNaN = 0x01, kSignalingNaN = 0x80, kDenormal = 0x20;
    constexpr int kOdd = kQuietNaN | kSignalingNaN | kDenormal;
    return _kortestz_mask16_u8(_mm512_fpclass_ps_mask(a, kOdd), _mm512_fpclass_ps_mask(b, kOdd)) != 0;
  }

  /// kLanes numbers of binary16. The processor's conversion keeps denormals, whatever its modes.
  static Real from_binary16(const std::uint16_t* from) {
    return _mm512_cvtph_ps(_mm256_loadu_si256(reinterpret_cast<const __m256i*>(from)));
  }
  static void to_binary16(std::uint16_t* to, Real x, Writes how) {
    const __m256i narrow = _mm512_cvtps_ph(x, _MM_FROUND_TO_NEAREST_INT);
    auto* const at = reinterpret_cast<__m256i*>(to);
    how == Writes::past_cache ? _mm256_stream_si256(at, narrow) : _mm256_storeu_si256(at, narrow);
  }
};

#elif defined(__AVX2__)

struct Halves {
  static constexpr int kLanes = 8;  ///< Of 32 bits.
  using Whole = __m256i;
  using Real = __m256;

  static Whole all(storage::Bits x) { return _mm256_set1_epi32(static_cast<int>(x)); }
  static Whole load(const void* from) { return _mm256_loadu_si256(static_cast<const __m256i*>(from)); }
  static void store(void* to, Whole x) { _mm256_storeu_si256(static_cast<__m256i*>(to), x); }
  /// Past the cache to whole lines only.
  static void write(void* to, Whole x, Writes how) {
    how == Writes::past_cache ? _mm256_stream_si256(static_cast<__m256i*>(to), x) : store(to, x);
  }
  static Real real(Whole x) { return _mm256_castsi256_ps(x); }
  static Whole whole(Real x) { return _mm256_castps_si256(x); }

  static Whole up(Whole x) { return _mm256_slli_epi32(x, 16); }
  static Whole down(Whole x) { return _mm256_srli_epi32(x, 16); }
  static Whole both(Whole a, Whole b) { return _mm256_and_si256(a, b); }
  static Whole differ(Whole a, Whole b) { return _mm256_xor_si256(a, b); }
  static Whole or_both(Whole a, Whole b, Whole c) { return _mm256_or_si256(a, both(b, c)); }

  /// The lower half of each lane of one, the upper half of the other.
  static Whole join(Whole lower, Whole upper) { return _mm256_blend_epi16(lower, upper, 0xaa); }

  // Of lanes of 16 bits: all the same; a - b; x and one more where a > b, unsigned, where `lower` is more
  // than a half, or one and x odd, and where there is a sign; one less where there is one; a choice.
  static Whole all_halves(std::uint16_t x) { return _mm256_set1_epi16(static_cast<short>(x)); }
  static Whole subtract_halves(Whole a, Whole b) { return _mm256_sub_epi16(a, b); }
  static Whole plus_one_if_above(Whole x, Whole a, Whole b) {
    const Whole sign = all(0x80008000u);  // there are signed comparisons alone
    return _mm256_sub_epi16(x, _mm256_cmpgt_epi16(differ(a, sign), differ(b, sign)));
  }
  /// Less one, and not below 0, where x is even: what has its upper bit then is rounded up.
  static Whole to_nearest(Whole x, Whole lower) {
    const Whole even = _mm256_andnot_si256(x, all(0x00010001u));
    return plus_one_if_negative(x, _mm256_subs_epu16(lower, even));
  }
  static Whole plus_one_if_negative(Whole x, Whole sign) {
    return _mm256_sub_epi16(x, _mm256_cmpgt_epi16(all(0), sign));
  }
  static Whole minus_one_if_negative(Whole x, Whole sign) {
    return _mm256_add_epi16(x, _mm256_srai_epi16(sign, 15));
  }
  static bool any_greater(Whole a, Whole b) { return _mm256_movemask_epi8(_mm256_cmpgt_epi16(a, b)) != 0; }
  static Whole select_if_greater(Whole a, Whole b, Whole yes, Whole no) {
    return _mm256_blendv_epi8(no, yes, _mm256_cmpgt_epi16(a, b));
  }

  static bool any_nan(Real a, Real b) { return _mm256_movemask_ps(_mm256_cmp_ps(a, b, _CMP_UNORD_Q)) != 0; }
  static Real unless_nan(Real x, Whole otherwise) {
    return _mm256_blendv_ps(x, real(otherwise), _mm256_cmp_ps(x, x, _CMP_UNORD_Q));
  }

  /// kLanes numbers of binary16. The processor's conversion keeps denormals, whatever its modes.
  static Real from_binary16(const std::uint16_t* from) {
    return _mm256_cvtph_ps(_mm_loadu_si128(reinterpret_cast<const __m128i*>(from)));
  }
  static void to_binary16(std::uint16_t* to, Real x, Writes how) {
    const __m128i narrow = _mm256_cvtps_ph(x, _MM_FROUND_TO_NEAREST_INT);
    auto* const at = reinterpret_cast<__m128i*>(to);
    how == Writes::past_cache ? _mm_stream_si128(at, narrow) : _mm_storeu_si128(at, narrow);
  }
};

#endif

#if defined(__AVX2__)

/// Two vectors of float32, as their bits: the first and the last of the block's order.
struct FirstAndLast {
  Halves::Whole first, last;
};

/// Between a vector of 16-bit numbers and two of float32.
template <Order kOrder>
struct Lanes {
  using H = Halves;
  using Whole = Halves::Whole;

  /// Upper halves, above zeros.
  static FirstAndLast widened(Whole upper) { return {H::up(upper), H::both(upper, H::all(0xffff0000u))}; }
  static FirstAndLast widened(const std::uint16_t* from) { return widened(H::load(from)); }
  /// Of both halves.
  static Whole first(Whole lower, Whole upper) { return H::join(lower, H::up(upper)); }
  static Whole last(Whole lower, Whole upper) { return H::join(H::down(lower), upper); }
  /// The halves of the first and the last.
  static Whole uppers(Whole first, Whole last) { return H::join(H::down(first), last); }
  static Whole lowers(Whole first, Whole last) { return H::join(first, H::up(last)); }
  /// Such halves as they are stored, and the element that each is of.
  static Whole stored(Whole halves) { return halves; }
  static constexpr int element_of_half(int half) { return half; }
};

#endif

#if defined(__AVX512BW__)

/// The halves that a permutation takes, from two vectors: each kStep further, or a half of each in turn.
enum class Taken { even, odd, first_of_both, last_of_both, halves_in_turn };

template <Taken kTaken>
alignas(64) inline constexpr auto kPlaces = [] {
  std::array<std::uint16_t, 2 * Halves::kLanes> places{};
  for (std::size_t i = 0; i < places.size(); ++i) {
    const std::size_t alternate = i % 2 * places.size() + i / 2;
    places[i] = static_cast<std::uint16_t>(kTaken == Taken::even             ? 2 * i
                                           : kTaken == Taken::odd            ? 2 * i + 1
                                           : kTaken == Taken::first_of_both  ? alternate
                                           : kTaken == Taken::halves_in_turn ? i % 2 * Halves::kLanes + i / 2
                                                                             : alternate + Halves::kLanes);
  }
  return places;
}();

template <>
struct Lanes<Order::natural> {
  using H = Halves;
  using Whole = Halves::Whole;

  static FirstAndLast widened(Whole upper) {
    return {above_zeros<Taken::first_of_both>(upper), above_zeros<Taken::last_of_both>(upper)};
  }
  static FirstAndLast widened(const std::uint16_t* from) { return widened(H::load(from)); }
  static Whole first(Whole lower, Whole upper) { return taken<Taken::first_of_both>(lower, upper); }
  static Whole last(Whole lower, Whole upper) { return taken<Taken::last_of_both>(lower, upper); }
  static Whole uppers(Whole first, Whole last) { return taken<Taken::odd>(first, last); }
  static Whole lowers(Whole first, Whole last) { return taken<Taken::even>(first, last); }
  static Whole stored(Whole halves) { return halves; }
  static constexpr int element_of_half(int half) { return half; }

 private:
  template <Taken kTaken>
  static Whole taken(Whole a, Whole b) {
    return _mm512_permutex2var_epi16(a, H::load(kPlaces<kTaken>.data()), b);
  }
  template <Taken kTaken>
  static Whole above_zeros(Whole upper) {
    return _mm512_maskz_permutexvar_epi16(H::kUpper, H::load(kPlaces<kTaken>.data()), upper);
  }
};

#elif defined(__AVX2__)

/// Permutations that cross a vector are few and slow here. Halves come apart without: both lanes of 128 bits
/// load the same eight, and each takes four of them. They come together as pairs of elements kLanes apart.
template <>
struct Lanes<Order::natural> {
  using Pairs = Lanes<Order::pairs>;
  using Whole = Halves::Whole;

  static FirstAndLast widened(const std::uint16_t* from) {
    return {above_zeros(from), above_zeros(from + Halves::kLanes)};
  }
  static Whole uppers(Whole first, Whole last) { return Pairs::uppers(first, last); }
  static Whole lowers(Whole first, Whole last) { return Pairs::lowers(first, last); }
  static Whole stored(Whole halves) {
    const __m128i order = _mm_setr_epi8(0, 1, 4, 5, 8, 9, 12, 13, 2, 3, 6, 7, 10, 11, 14, 15);
    return _mm256_permute4x64_epi64(_mm256_shuffle_epi8(halves, _mm256_broadcastsi128_si256(order)), 0xd8);
  }
  static constexpr int element_of_half(int half) { return half / 2 + half % 2 * Halves::kLanes; }

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
