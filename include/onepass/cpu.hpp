// cpu.hpp - the instruction sets of the CPU backend.
#pragma once

#include <cstdint>
#include <string_view>

namespace onepass {

/// Levels that the CPU backend is compiled for. All give the same bits.
enum class Isa : unsigned char {
  best,         ///< ONEPASS_ISA (baseline, ...) if set, else the last of these that this machine has.
  baseline,     ///< Any processor; without fused multiply-add instructions very slow, and still exact.
  avx2,         ///< x86-64-v3
  avx512,       ///< x86-64-v4
  avx512_bf16,  ///< The same, and the processor rounds to bfloat16 itself where it rounds as IEEE says.
};

/// Whether this machine and this build have the level.
bool isa_available(Isa isa);

/// The level that Isa::best stands for. Throws InvalidArgument if ONEPASS_ISA names none that is there.
Isa best_isa();

/// "avx512"
std::string_view to_string(Isa isa);

/// How many threads a step uses at most: ONEPASS_THREADS if set, else the processors this process may use.
/// Throws InvalidArgument if ONEPASS_THREADS is not a number from 1 to 1024.
int cpu_threads();

/// Bytes of the last cache before memory: ONEPASS_CACHE_BYTES if set, else what Linux says of the first
/// processor's third cache, and 32 MiB where it says nothing. An optimizer whose streams take over four times
/// as much writes what a step does not read, such as the 16-bit copy of a master, past the cache. Read when
/// an optimizer is made; changes no bit. Throws InvalidArgument if ONEPASS_CACHE_BYTES is not a number from 0
/// to 2^50.
std::int64_t cpu_cache_bytes();

}  // namespace onepass
