// cpu.hpp - instruction sets, threads and cache of the CPU backend.
#pragma once

#include <cstdint>
#include <string_view>

namespace onepass {

/// Instruction set levels that the CPU backend is compiled for. All of them give the same bits.
enum class Isa : unsigned char {
  best,         ///< ONEPASS_ISA (baseline, ...) if set, else the last of these levels that the machine has.
  baseline,     ///< Any processor. Exact, but very slow without fused multiply-add instructions.
  avx2,         ///< x86-64-v3
  avx512,       ///< x86-64-v4
  avx512_bf16,  ///< avx512, with the processor's own rounding to bfloat16 wherever that follows IEEE.
};

/// Returns true if this machine and this build have the level.
bool isa_available(Isa isa);

/// Returns the level that Isa::best stands for. Throws InvalidArgument if ONEPASS_ISA names a level that
/// does not exist or that this machine lacks.
Isa best_isa();

/// Returns the name of a level, such as "avx512".
std::string_view to_string(Isa isa);

/// Returns the largest number of threads that a step uses: ONEPASS_THREADS if set, else the number of
/// processors that this process may use. Throws InvalidArgument if ONEPASS_THREADS is not a number from 1 to
/// 1024.
int cpu_threads();

/// Returns the size in bytes of the last cache before memory: ONEPASS_CACHE_BYTES if set, else the size that
/// Linux reports for the first processor's third-level cache, else 32 MiB.
///
/// An optimizer reads this size when it is constructed. If its streams take more than four times as much, it
/// uses stores that bypass the cache for numbers that a step writes but does not read, such as the 16-bit
/// parameter of a float32 master. The result does not depend on it. Throws InvalidArgument if
/// ONEPASS_CACHE_BYTES is not a number from 0 to 2^50.
std::int64_t cpu_cache_bytes();

}  // namespace onepass
