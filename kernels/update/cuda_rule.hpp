// cuda_rule.hpp - the interface between host/ and the kernels of a rule; plain C++ on both sides.
#pragma once

#include <array>

#include "onepass/storage/formats.hpp"
#include "onepass/stream.hpp"
#include "step/table.hpp"

namespace onepass::kernels {

using namespace step;

/// The launch functions of one kernel of a rule, for the current device.
struct CudaUpdate {
  /// Returns how many thread blocks fit on the device at once. Loads the kernel. Throws CudaError.
  int (*resident_blocks)() = nullptr;
  /// Launches once over the table's chunks, asynchronously on the stream. Throws CudaError.
  void (*launch)(const Table& table, int resident_blocks, Stream stream) = nullptr;
};

/// One variant of a rule on CUDA.
struct CudaVariant {
  CudaUpdate prepare;  ///< Launches over the tensors, not the chunks.
  std::array<CudaUpdate, storage::kFormatCount> updates;
};

/// Returns the variants of a rule, in the order of Rule::Variants. One small .cu per rule specialises it.
template <class Rule>
const CudaVariant* cuda_variants();  // defined in generated files only: kernels/update/rule.cu.in

}  // namespace onepass::kernels
