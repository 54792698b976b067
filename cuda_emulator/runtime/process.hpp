// process.hpp - the functions that the emulator offers in addition to the CUDA runtime's calls.
#pragma once

#include <cstddef>

#include "machine/counts.hpp"

extern "C" {

/// Returns the number of findings so far. The process fails at its end if there are any.
unsigned long long cuda_emulator_findings();

/// Writes the names of the kernels in this binary that were never launched, one per line, and returns their
/// number. Writes at most `capacity` bytes, including the terminating zero.
std::size_t cuda_emulator_unlaunched_kernels(char* names, std::size_t capacity);

/// Writes the distinct findings so far to `text`, one "class|file|line|where|what" per line, and forgets
/// them. It is for tests of the emulator, which provoke faults and must pass.
std::size_t cuda_emulator_take_findings(char* text, std::size_t capacity);

/// Starts counting the work of each kernel from zero, or stops counting. Work that is still queued is counted
/// when it runs, so synchronise first. CUDA_EMULATOR_STATS=full starts counting too.
void cuda_emulator_start_counting();
void cuda_emulator_stop_counting();

/// Calls `visit` with the demangled name and the counts of every kernel that was launched while counting was
/// on. Both are valid only during the call.
void cuda_emulator_visit_counts(void (*visit)(void* context, const char* kernel,
                                              const cuda_emulator_counts* counts),
                                void* context);

}  // extern "C"
