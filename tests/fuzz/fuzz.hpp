// fuzz.hpp - the parts of the fuzzer. Each does what one seed says, and throws if the library breaks a
// promise.
#pragma once

#include <cstdint>

#include "fuzz/draw.hpp"

namespace onepass::fuzz {

/// Random calls of all functions of Optimizer. Two optimizers get the same calls and must keep equal bits,
/// though one of them is again and again made anew and restored from the other's state dict; and both must do
/// what the model does. A call that is refused must change nothing.
void random_calls(std::uint64_t seed, Trace& trace);

/// Random calls of the C interface, with null pointers, bad sizes and wrong names. Each succeeds, or fails
/// with a status and a sentence and changes nothing.
void random_c_calls(std::uint64_t seed, Trace& trace);

/// State dicts with damaged fields: either they are refused and nothing changes, or steps go on.
void damaged_dicts(std::uint64_t seed, Trace& trace);

/// The trainer's saved runs with damaged bytes and a right checksum: either the trainer refuses them with a
/// sentence, or it goes on from them.
void damaged_runs(std::uint64_t seed, Trace& trace);

/// Checkpoints with damaged headers and a right checksum: either they are refused and nothing changes, or
/// steps go on.
void damaged_checkpoints(std::uint64_t seed, Trace& trace);

}  // namespace onepass::fuzz
