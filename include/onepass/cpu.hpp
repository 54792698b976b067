// cpu.hpp - the instruction sets of the CPU backend.
#pragma once

#include <string_view>

namespace onepass {

/// Levels that the CPU backend is compiled for. All give the same bits.
enum class Isa : unsigned char {
  best,      ///< ONEPASS_ISA (baseline, avx2, avx512) if set, else the widest that this machine has.
  baseline,  ///< Any processor; without fused multiply-add instructions very slow, and still exact.
  avx2,      ///< x86-64-v3
  avx512,    ///< x86-64-v4
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

}  // namespace onepass
