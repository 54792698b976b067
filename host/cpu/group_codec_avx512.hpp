// group_codec_avx512.hpp - group_codec.hpp by AVX-512: a group is two vectors of 32-bit numbers, or one of
// 16-bit words. The same operations as the codecs, in another order where it does not matter; the same bits.
#pragma once

#include <concepts>
#include <cstdint>

#include "host/cpu/group_codec.hpp"
#include "host/cpu/halves.hpp"
#include "onepass/storage/remainder8.hpp"

// Internal linkage, as in sweep.hpp.
namespace onepass::cpu {
namespace {

using Natural = Lanes<Order::natural>;

/// A group's numbers of 32 bits.
struct Numbers {
  __m512i first, last;

  static Numbers load(const float* from) { return {Halves::load(from), Halves::load(from + Halves::kLanes)}; }
  /// Of 32 lower and upper halves.
  static Numbers of(__m512i lower, __m512i upper) {
    return {Natural::first(lower, upper), Natural::last(lower, upper)};
  }
  void store(float* to) const {
    Halves::store(to, first);
    Halves::store(to + Halves::kLanes, last);
  }
  [[nodiscard]] __m512i uppers() const { return Natural::uppers(first, last); }
  [[nodiscard]] __m512i lowers() const { return Natural::lowers(first, last); }
};

inline __m512i all(std::uint32_t x) { return Halves::all(x); }
inline __m512i bits(__m512 x) { return Halves::whole(x); }
inline __m512 floats(__m512i x) { return Halves::real(x); }

/// Bits of a where the mask has ones, else of b.
inline __m512i chosen(__m512i mask, __m512i a, __m512i b) {
  return _mm512_ternarylogic_epi32(mask, a, b, 0xca);
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

template <class Format>
requires std::same_as<typename Format::Param, storage::BFloat16Remainder8>
inline void load_params(const typename Format::Param::Element* param,
                        const typename Format::Param::Remainder* remainder, float* __restrict values,
                        int /*a group*/, Format /*of*/) {
  const __m512i element = _mm512_loadu_si512(param), rest = signed_words(remainder);
  __m512i lower = _mm512_slli_epi16(rest, 8), upper = _mm512_add_epi16(element, _mm512_srai_epi16(rest, 8));
  // A zero with an old remainder: rare.
  const __mmask32 turned = _mm512_movepi16_mask(_mm512_xor_si512(upper, element));
  if (__builtin_expect(turned != 0, 0)) {
    lower = _mm512_mask_mov_epi16(lower, turned, _mm512_setzero_si512());
    upper = _mm512_mask_mov_epi16(upper, turned, element);
  }
  Numbers::of(lower, upper).store(values);
}

inline __m512i with_canonical_nan(__m512i rounded, __m512i x) {
  const __mmask16 nan = _mm512_cmp_ps_mask(floats(x), floats(x), _CMP_UNORD_Q);
  return _mm512_mask_mov_epi32(rounded, nan, all(storage::Bits{storage::BFloat16::kNaN} << 16));
}

/// To 24 bits, the upper ones; ties to even.
inline __m512i rounded24(__m512i x) {
  const __mmask16 odd = _mm512_test_epi32_mask(x, all(0x100));
  const __m512i up = _mm512_add_epi32(x, all(0x7f));
  return _mm512_mask_add_epi32(up, odd, up, all(1));
}

template <class Format>
requires std::same_as<typename Format::Param, storage::BFloat16Remainder8>
inline void store_params(const float* __restrict values, typename Format::Param::Element* param,
                         typename Format::Param::Remainder* remainder, int /*a group*/, Format /*of*/) {
  const Numbers x = Numbers::load(values);
  Numbers whole{rounded24(x.first), rounded24(x.last)};
  if (__builtin_expect(_mm512_cmp_ps_mask(floats(x.first), floats(x.last), _CMP_UNORD_Q) != 0, 0)) {
    whole = {with_canonical_nan(whole.first, x.first), with_canonical_nan(whole.last, x.last)};
  }
  const __m512i half = all(0x8000);
  _mm512_storeu_si512(
      param, Numbers{_mm512_add_epi32(whole.first, half), _mm512_add_epi32(whole.last, half)}.uppers());
  store_bytes(remainder, _mm512_srli_epi16(whole.lowers(), 8));
}

inline void load_group(const GroupedState<Signed8>& state, float* __restrict values) {
  const __m512i codes = signed_words(state.codes);
  constexpr int kUpperShift = Signed8::kShift - 16, kUpperOne = Signed8::kOne >> 16;
  const Numbers y = Numbers::of(_mm512_setzero_si512(),
                                _mm512_add_epi16(_mm512_slli_epi16(_mm512_abs_epi16(codes), kUpperShift),
                                                 _mm512_set1_epi16(kUpperOne)));
  const float step = storage::BFloat16::decode(*state.scales) * Signed8::kStep;
  const __m512 up = _mm512_set1_ps(step), down = _mm512_set1_ps(-step);
  const __mmask32 negative = _mm512_movepi16_mask(codes);
  const auto signed_step = [&](__mmask32 mask) {
    return _mm512_mask_mov_ps(up, static_cast<__mmask16>(mask), down);
  };
  const auto restored = [](__m512i curve, __m512 by) { return bits(_mm512_fmsub_ps(floats(curve), by, by)); };
  Numbers{restored(y.first, signed_step(negative)), restored(y.last, signed_step(negative >> 16))}.store(
      values);
}

inline void load_group(const GroupedState<Nonnegative8>& state, float* __restrict values) {
  const Numbers whole =
      Numbers::of(unsigned_words(state.codes), _mm512_set1_epi16(Nonnegative8::kWhole >> 16));
  const float step = storage::BFloat16::decode(*state.scales) * Nonnegative8::kStep;
  const __m512 by = _mm512_set1_ps(step), wholes = _mm512_set1_ps(Nonnegative8::kWholes * step);
  const auto restored = [&](__m512i number) {
    const __m512 root = _mm512_fmsub_ps(floats(number), by, wholes);
    return bits(_mm512_mul_ps(root, root));
  };
  Numbers{restored(whole.first), restored(whole.last)}.store(values);
}

/// The lattice of dither.hpp.
inline Numbers lattice(std::uint32_t random) {
  const storage::Bits* const turns = kTurns<Order::natural>.data();
  return {_mm512_add_epi32(Halves::load(turns), all(random)),
          _mm512_add_epi32(Halves::load(turns + Halves::kLanes), all(random))};
}

/// What a group is encoded with.
struct Scaled {
  float inverse;
  __mmask32 finite;  ///< All ones, or none.
};

/// A code's magnitude above bit kShift of a word's, and x's sign.
inline __m512i encoded(__m512i x, __m512i noise, const Scaled& with, Signed8 /*codec*/) {
  constexpr unsigned kFineMask = (1u << Signed8::kFine) - 1, kHalf = 1u << (Signed8::kFine - 1);
  const __m512i coarse = _mm512_srli_epi32(noise, 32 - storage::kNoiseBits - Signed8::kFine);
  const __m512i steps = chosen(all(kFineMask), all(kHalf), coarse);
  const __m512i one = chosen(all(storage::kSign), x, all(Signed8::kOne));
  const __m512 y = _mm512_fmadd_ps(floats(x), _mm512_set1_ps(with.inverse), floats(one));
  return _mm512_add_epi32(bits(y), steps);
}

inline __m512i encoded(__m512i root, __m512i noise, const Scaled& with, Nonnegative8 /*codec*/) {
  const __m512 fixed =
      _mm512_fmadd_ps(floats(root), _mm512_set1_ps(with.inverse), _mm512_set1_ps(Nonnegative8::kFixed));
  const __m512i rounded = _mm512_add_epi32(bits(fixed), _mm512_srli_epi32(noise, 32 - storage::kNoiseBits));
  return _mm512_srli_epi32(rounded, storage::kNoiseBits);
}

inline void store_codes(const Numbers& x, const Numbers& noise, const Scaled& with, std::int8_t* codes) {
  const Numbers curve{encoded(x.first, noise.first, with, Signed8{}),
                      encoded(x.last, noise.last, with, Signed8{})};
  const __m512i upper = curve.uppers();
  constexpr int kUpperShift = Signed8::kShift - 16, kUpperOne = Signed8::kOne >> Signed8::kShift;
  // Bytes are what counts: the sign is above them.
  const __m512i code = _mm512_sub_epi16(_mm512_srli_epi16(upper, kUpperShift), _mm512_set1_epi16(kUpperOne));
  const __m512i turned =
      _mm512_mask_sub_epi16(code, _mm512_movepi16_mask(upper), _mm512_setzero_si512(), code);
  store_bytes(codes, turned, with.finite);
}

inline void store_codes(const Numbers& root, const Numbers& noise, const Scaled& with, std::uint8_t* codes) {
  const Numbers rounded{encoded(root.first, noise.first, with, Nonnegative8{}),
                        encoded(root.last, noise.last, with, Nonnegative8{})};
  const __m512i code = _mm512_and_si512(rounded.lowers(), _mm512_set1_epi16(0xff));
  const __m512i zero = _mm512_setzero_si512();
  const __mmask32 some =
      _mm512_kunpackw(_mm512_cmpgt_epi32_mask(root.last, zero), _mm512_cmpgt_epi32_mask(root.first, zero));
  store_bytes(codes, _mm512_mask_max_epu16(code, some, code, _mm512_set1_epi16(1)), with.finite);
}

/// The largest pattern of each of 16 vectors, in their order.
inline __m512i largest_of_each(const __m512i (&of)[16]) {
  const auto pairs = [](__m512i a, __m512i b) {
    return _mm512_max_epi32(_mm512_unpacklo_epi32(a, b), _mm512_unpackhi_epi32(a, b));
  };
  const auto fours = [](__m512i a, __m512i b) {
    return _mm512_max_epi32(_mm512_unpacklo_epi64(a, b), _mm512_unpackhi_epi64(a, b));
  };
  const auto lanes = [](__m512i a, __m512i b) {
    return _mm512_max_epi32(_mm512_shuffle_i32x4(a, b, 0x88), _mm512_shuffle_i32x4(a, b, 0xdd));
  };
  __m512i four[4];
  for (int i = 0; i < 4; ++i) {
    four[i] = fours(pairs(of[4 * i], of[4 * i + 1]), pairs(of[4 * i + 2], of[4 * i + 3]));
  }
  return lanes(lanes(four[0], four[1]), lanes(four[2], four[3]));
}

/// Codec::scale() of each, in 32 bits.
template <class Codec>
inline __m512i scales_of(__m512i largest) {
  const __mmask16 finite = _mm512_cmplt_epi32_mask(largest, all(storage::kInfinity));
  const __m512i up = _mm512_srli_epi32(_mm512_add_epi32(largest, all(0xffff)), 16);
  const __m512i scale = _mm512_mask_mov_epi32(all(storage::BFloat16::kNaN), finite, up);
  if constexpr (std::same_as<Codec, Nonnegative8>) return scale;
  return _mm512_maskz_mov_epi32(_mm512_cmpge_epi32_mask(largest, all(Signed8::kLeast)), scale);
}

/// What is encoded with: Codec::inverse() of each scale, and whether it is finite.
struct Scales {
  alignas(64) float inverse[kStagedGroups];
  __mmask16 finite;
};

/// Stores the scales of `groups` groups.
template <class Codec>
inline Scales store_scales(const float* staged, int groups, std::uint16_t* scales) {
  __m512i largest[kStagedGroups];
  for (int group = 0; group < kStagedGroups; ++group) {
    const Numbers x = Numbers::load(staged + group * storage::kGroup);
    largest[group] =
        _mm512_max_epi32(bits(_mm512_abs_ps(floats(x.first))), bits(_mm512_abs_ps(floats(x.last))));
  }
  const __m512i stored = scales_of<Codec>(largest_of_each(largest));
  _mm512_mask_cvtepi32_storeu_epi16(scales, static_cast<__mmask16>((1u << groups) - 1), stored);
  const __m512i scale = _mm512_slli_epi32(stored, 16);
  Scales result;
  result.finite = _mm512_cmplt_epi32_mask(scale, all(storage::kInfinity));
  _mm512_store_ps(result.inverse,
                  _mm512_maskz_div_ps(_mm512_cmp_ps_mask(floats(scale), _mm512_setzero_ps(), _CMP_GT_OQ),
                                      _mm512_set1_ps(Codec::kCodes), floats(scale)));
  return result;
}

template <int kWords, class Codec>
inline void store_groups(const float* staged, int groups, const std::uint32_t* words,
                         GroupedState<Codec> state) {
  const Scales scales = store_scales<Codec>(staged, groups, state.scales);
  for (int group = 0; group < groups; ++group) {
    const int at = group * storage::kGroup;
    const __mmask32 finite = (scales.finite >> group & 1u) != 0 ? 0xffffffffu : 0u;
    store_codes(Numbers::load(staged + at), lattice(words[kWords * group]), {scales.inverse[group], finite},
                state.codes + at);
  }
}

}  // namespace
}  // namespace onepass::cpu
