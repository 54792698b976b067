// counting.hpp - how much work each kernel was.
#pragma once

namespace cuda_emulator {

class Device;

/// To stderr: launches and instructions of every kernel in the binary; where accesses were counted, those
/// too.
void print_statistics(const Device& device);

}  // namespace cuda_emulator
