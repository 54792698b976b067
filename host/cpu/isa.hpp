// isa.hpp - which compiled loops serve an instruction set level.
#pragma once

#include "onepass/cpu.hpp"

// Defined if loops are compiled for AVX2 and AVX-512 too.
#if defined(__x86_64__) && !defined(ONEPASS_BASELINE_ONLY)
#define ONEPASS_WIDE_LOOPS
#endif

namespace onepass::cpu {

/// Most threads that Options::threads and ONEPASS_THREADS may ask for.
inline constexpr int kMostThreads = 1024;

/// Returns the level that the loops of `isa` are compiled for. avx512_bf16 adds one instruction to avx512,
/// and the loops ask at run time whether to use it (Stores::has_bf16_instruction).
inline Isa loops_of(Isa isa) { return isa == Isa::avx512_bf16 ? Isa::avx512 : isa; }

}  // namespace onepass::cpu
