// cuda_rule.hpp - the seam between host/ and the kernels of a rule: plain C++ on both sides.
#pragma once

#include "kernels/table.hpp"
#include "onepass/stream.hpp"

namespace onepass::kernels {

/// One variant of a rule on CUDA, for the current device.
struct CudaVariant {
  /// Blocks that fit on the device at once; loads the kernels. Throws CudaError.
  int (*resident_blocks)() = nullptr;
  /// Prepare and update: two launches, asynchronous on the stream. Throws CudaError.
  void (*step)(const Table& table, int resident_blocks, Stream stream) = nullptr;
};

/// The variants of a rule, in the order of Rule::Variants. Specialised in one small .cu for each rule.
template <class Rule>
const CudaVariant* cuda_variants();

}  // namespace onepass::kernels
