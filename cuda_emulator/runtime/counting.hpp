// counting.hpp - statistics about the work of each kernel.
#pragma once

namespace cuda_emulator {

class Device;

/// Prints the launches and instructions of every kernel in the binary to stderr, and its other counts if
/// counting is on.
void print_statistics(const Device& device);

}  // namespace cuda_emulator
