// fatbin.hpp - finds the PTX text that nvcc embedded in a binary.
#pragma once

#include <string>

namespace cuda_emulator {

/// Returns the PTX for the newest architecture that is not newer than `compute_capability` (80 for 8.0).
/// `fatbin` is the container that __cudaRegisterFatBinary receives. Throws PtxError if it holds no such PTX.
std::string ptx_from_fatbin(const void* fatbin, unsigned compute_capability);

}  // namespace cuda_emulator
