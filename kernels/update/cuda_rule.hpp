// cuda_rule.hpp - the seam between host/ and the kernels of a rule: plain C++ on both sides.
#pragma once

#include <array>

#include "onepass/storage/formats.hpp"
#include "onepass/stream.hpp"
#include "step/table.hpp"

namespace onepass::kernels {

using namespace step;

/// The update of one variant and format on CUDA, for the current device.
struct CudaUpdate {
  /// Blocks that fit on the device at once; loads the kernel. Throws CudaError.
  int (*resident_blocks)() = nullptr;
  /// One launch over the table's chunks, asynchronous on the stream. Throws CudaError.
  void (*launch)(const Table& table, int resident_blocks, Stream stream) = nullptr;
};

/// One variant of a rule on CUDA.
struct CudaVariant {
  CudaUpdate prepare;  ///< Over the tensors.
  std::array<CudaUpdate, storage::kFormatCount> updates;
};

/// The variants of a rule, in the order of Rule::Variants. Specialised in one small .cu for each rule.
template <class Rule>
const CudaVariant* cuda_variants();

}  // namespace onepass::kernels
