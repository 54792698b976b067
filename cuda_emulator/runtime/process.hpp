// process.hpp - what the emulator offers beside the runtime's own calls.
#pragma once

#include <cstddef>

#include "machine/counts.hpp"

extern "C" {

/// Findings so far; the process fails at its end if there are any.
unsigned long long cuda_emulator_findings();

/// Writes the names of the kernels in this binary that were never launched, one a line, and returns how
/// many there are. Writes at most `capacity` bytes, the terminating zero included.
std::size_t cuda_emulator_unlaunched_kernels(char* names, std::size_t capacity);

/// Prints the distinct findings so far to `text`, one "class|file|line|where|what" a line, and forgets
/// them: for tests of the emulator, which provoke faults and want to pass.
std::size_t cuda_emulator_take_findings(char* text, std::size_t capacity);

/// Counts from now on, beginning with nothing, what each kernel does; or stops. Work that is still queued is
/// counted when it runs: synchronise first. The environment can ask for this too:
/// CUDA_EMULATOR_STATS=full.
void cuda_emulator_start_counting();
void cuda_emulator_stop_counting();

/// Hands over the counts of every kernel that was launched while counting, by demangled name. They are valid
/// during the call.
void cuda_emulator_visit_counts(void (*visit)(void* context, const char* kernel,
                                              const cuda_emulator_counts* counts),
                                void* context);

}  // extern "C"
