// stores.hpp - how a step stores its results. It changes no bit of them.
#pragma once

#include <cstdint>

#include "host/cpu/codecs/intrinsics.hpp"
#include "onepass/arithmetic/lane.hpp"

namespace onepass::cpu {

/// How to store a stream that the step writes and does not read: a 16-bit copy of a master, or the first
/// micro-batch of a gradient sum. Through the cache, the processor fetches each line from memory before it
/// writes it, as many bytes again. Past the cache it fetches nothing, and the next reader finds the line in
/// memory. There it would be in any case after a step that moves several times what the cache holds.
enum class Writes : bool { through_cache, past_cache };

/// How the loops of a step store.
struct Stores {
  Writes unread;              ///< How to store streams that the step does not read.
  bool has_bf16_instruction;  ///< Whether the processor rounds to bfloat16 itself: Isa::avx512_bf16.
  bool fetches_ahead;         ///< Whether loops ask for their streams ahead of use: see fetch_ahead().
};

/// Bytes of each stream that a loop asks for ahead of use. From 1 to 4 KiB the gain is the same.
constexpr std::int64_t kBytesAhead = 2048;

/// Elements between two calls of fetch_ahead() in loops that need not take whole blocks.
constexpr std::int64_t kFetchedElements = 64;

/// Asks the processor for the cache lines of `kCount` elements that a loop reaches after `bytes_ahead` more
/// bytes. By themselves, processors look ahead less far, and not beyond a page of 4 KiB. It pays where the
/// streams come from memory: docs/performance.md has what prototypes gained.
/// It does no harm beyond the end of a stream, because a prefetch never faults.
template <std::int64_t kCount, class Element>
ONEPASS_LANE void fetch_ahead(const Element* from, std::int64_t bytes_ahead = kBytesAhead) {
  constexpr std::int64_t kLine = 64, kBytes = kCount * static_cast<std::int64_t>(sizeof(Element));
  const char* const ahead = reinterpret_cast<const char*>(from) + bytes_ahead;
#pragma GCC unroll 8
  for (std::int64_t byte = 0; byte < kBytes; byte += kLine) __builtin_prefetch(ahead + byte);
}

/// How to store a range that begins at `begin`: past the cache only if it begins a cache line.
ONEPASS_LANE Writes writes_to(const void* begin, Writes wanted) {
  constexpr std::uintptr_t kLine = 64;
  return reinterpret_cast<std::uintptr_t>(begin) % kLine == 0 ? wanted : Writes::through_cache;
}

/// A thread calls this after its last write past the cache. Such writes are not ordered with the later store
/// that tells other threads that the work is done; the fence orders them.
ONEPASS_LANE void finish([[maybe_unused]] Writes writes) {
#if defined(__x86_64__)
  if (writes == Writes::past_cache) _mm_sfence();
#endif
}

}  // namespace onepass::cpu
