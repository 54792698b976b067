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
};

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
