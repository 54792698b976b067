// philox_words.hpp - the random words of many consecutive Philox draws. Each draw has a vector lane of 64
// bits, as the multiplication of 32-bit numbers wants it (vpmuludq). gcc vectorises the plain loop only with
// many shuffles, at half the speed (AVX-512: 0.9 against 0.44 ns an element; AVX2: 1.5 against 0.76).
// Compiled once for each instruction set.
#pragma once

#include <cstddef>
#include <cstdint>
#include <cstring>

#include "host/cpu/codecs/intrinsics.hpp"
#include "onepass/random/philox.hpp"

// Internal linkage: loops/update.hpp says why.
namespace onepass::cpu {
namespace {

/// Number of draws that the loops take at once, and the number of 32-bit words that they have.
constexpr int kDrawsAtOnce = 64;
constexpr int kWordsAtOnce = 4 * kDrawsAtOnce;

#if defined(__AVX512F__)

/// One vector of 64-bit lanes.
struct Vector64 {
  static constexpr int kLanes = 8;
  using Type = __m512i;
  static Type all(std::uint64_t x) { return _mm512_set1_epi64(static_cast<long long>(x)); }
  static Type load(const std::uint64_t* from) { return _mm512_loadu_si512(from); }
  static void store(void* to, Type x) { _mm512_storeu_si512(to, x); }
  static Type add(Type a, Type b) { return _mm512_add_epi64(a, b); }
  /// The 64-bit product of the lower 32 bits of each lane.
  static Type multiply(Type a, Type b) { return _mm512_mul_epu32(a, b); }
  /// The upper 32 bits of each lane, in its lower 32.
  static Type upper(Type a) { return _mm512_srli_epi64(a, 32); }
  static Type exclusive_or(Type a, Type b, Type c) { return _mm512_ternarylogic_epi64(a, b, c, 0x96); }
  /// Takes the lower 32 bits of each lane from the lower 32 of `low`, the upper ones from the lower 32 of
  /// `high`.
  static Type join(Type low, Type high) {
    return _mm512_mask_shuffle_epi32(low, 0xaaaa, high, _MM_PERM_CCAA);
  }
  /// The even lanes of a and b, interleaved; second() the odd lanes.
  static Type first(Type a, Type b) { return _mm512_unpacklo_epi64(a, b); }
  static Type second(Type a, Type b) { return _mm512_unpackhi_epi64(a, b); }
};

#elif defined(__AVX2__)

/// One vector of 64-bit lanes.
struct Vector64 {
  static constexpr int kLanes = 4;
  using Type = __m256i;
  static Type all(std::uint64_t x) { return _mm256_set1_epi64x(static_cast<long long>(x)); }
  static Type load(const std::uint64_t* from) {
    return _mm256_loadu_si256(reinterpret_cast<const __m256i*>(from));
  }
  static void store(void* to, Type x) { _mm256_storeu_si256(static_cast<__m256i*>(to), x); }
  static Type add(Type a, Type b) { return _mm256_add_epi64(a, b); }
  /// The 64-bit product of the lower 32 bits of each lane.
  static Type multiply(Type a, Type b) { return _mm256_mul_epu32(a, b); }
  /// The upper 32 bits of each lane, in its lower 32.
  static Type upper(Type a) { return _mm256_srli_epi64(a, 32); }
  static Type exclusive_or(Type a, Type b, Type c) { return _mm256_xor_si256(_mm256_xor_si256(a, b), c); }
  /// Takes the lower 32 bits of each lane from the lower 32 of `low`, the upper ones from the lower 32 of
  /// `high`.
  static Type join(Type low, Type high) { return _mm256_blend_epi32(low, _mm256_slli_epi64(high, 32), 0xaa); }
  /// The even lanes of a and b, interleaved; second() the odd lanes.
  static Type first(Type a, Type b) { return _mm256_unpacklo_epi64(a, b); }
  static Type second(Type a, Type b) { return _mm256_unpackhi_epi64(a, b); }
};

#endif

#if defined(__AVX2__)

/// philox_words() rounds the number of draws up to a multiple of this.
constexpr int kDrawsPerVector = Vector64::kLanes;

/// Writes word w of the draw with counter `counter.draw` + d to words[4 * d + w], for at least `draws`
/// draws. The low 32 bits of `counter.draw` + d must not overflow.
inline void philox_words(std::uint64_t seed, const random::Counter& counter, void* words, int draws) {
  using V = Vector64;
  constexpr int kHalf = V::kLanes / 2;
  // The draw of each lane, chosen so that first() and second() below yield consecutive draws.
  std::uint64_t order[V::kLanes];
  for (int lane = 0; lane < V::kLanes; ++lane) {
    order[lane] = static_cast<std::uint64_t>(lane / 2 + lane % 2 * kHalf);
  }
  const random::Words base = random::pack(counter);
  const V::Type multiplier0 = V::all(random::kMultiplier0), multiplier1 = V::all(random::kMultiplier1);
  for (int d = 0; d < draws; d += V::kLanes) {
    V::Type c0 = V::add(V::load(order), V::all(base.word[0] + static_cast<std::uint32_t>(d)));
    V::Type c1 = V::all(base.word[1]), c2 = V::all(base.word[2]), c3 = V::all(base.word[3]);
    auto k0 = static_cast<std::uint32_t>(seed), k1 = static_cast<std::uint32_t>(seed >> 32);
#pragma GCC unroll 10
    for (int round = 0; round < random::kRounds; ++round) {
      // The upper 32 bits of the lanes hold numbers that are never read.
      const V::Type product0 = V::multiply(c0, multiplier0), product1 = V::multiply(c2, multiplier1);
      c0 = V::exclusive_or(V::upper(product1), c1, V::all(k0));
      c1 = product1;
      c2 = V::exclusive_or(V::upper(product0), c3, V::all(k1));
      c3 = product0;
      k0 += random::kWeyl0;
      k1 += random::kWeyl1;
    }
    const V::Type low = V::join(c0, c1), high = V::join(c2, c3);
    auto* const to = static_cast<std::byte*>(words) + static_cast<std::size_t>(d) * sizeof(random::Words);
    V::store(to, V::first(low, high));
    V::store(to + sizeof(V::Type), V::second(low, high));
  }
}

#else

constexpr int kDrawsPerVector = 1;

/// Writes word w of the draw with counter `counter.draw` + d to words[4 * d + w], for `draws` draws. The low
/// 32 bits of `counter.draw` + d must not overflow.
inline void philox_words(std::uint64_t seed, const random::Counter& counter, void* words, int draws) {
  const random::Words base = random::pack(counter);
  for (std::uint32_t d = 0; d < static_cast<std::uint32_t>(draws); ++d) {
    const random::Words drawn =
        random::philox(seed, random::Words{{base.word[0] + d, base.word[1], base.word[2], base.word[3]}});
    std::memcpy(static_cast<std::byte*>(words) + d * sizeof drawn, &drawn, sizeof drawn);
  }
}

#endif

/// Writes the words of kDrawsAtOnce draws.
inline void philox_words_at_once(std::uint64_t seed, const random::Counter& counter,
                                 std::uint32_t (&words)[kWordsAtOnce]) {
  philox_words(seed, counter, words, kDrawsAtOnce);
}

}  // namespace
}  // namespace onepass::cpu
