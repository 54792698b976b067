// stores.hpp - how a step stores: no bit depends on it.
#pragma once

#include <cstdint>

#include "host/cpu/codecs/intrinsics.hpp"
#include "onepass/arithmetic/lane.hpp"

namespace onepass::cpu {

/// A 16-bit copy of a master, or the first micro-batch of a sum, is written and not read. Through the cache,
/// each line is fetched from memory first, as much again as is written. Past it nothing is fetched, and who
/// reads the line next finds it in memory: which is where it would be in any case, where a step moves several
/// times what the cache holds.
enum class Writes : bool { through_cache, past_cache };

/// What the loops of a step are told.
struct Stores {
  Writes unread;  ///< What is not read.
  bool narrows;   ///< Whether the processor rounds to bfloat16 itself: Isa::avx512_bf16.
};

/// What one run of a stream asks for: lines that are not whole go through the cache.
ONEPASS_LANE Writes writes_to(const void* run, Writes wanted) {
  constexpr std::uintptr_t kLine = 64;
  return reinterpret_cast<std::uintptr_t>(run) % kLine == 0 ? wanted : Writes::through_cache;
}

/// After the last of them, in the thread that wrote: such writes are in no order with what tells the others.
ONEPASS_LANE void finish([[maybe_unused]] Writes writes) {
#if defined(__x86_64__)
  if (writes == Writes::past_cache) _mm_sfence();
#endif
}

}  // namespace onepass::cpu
