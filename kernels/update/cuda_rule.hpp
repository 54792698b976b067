// cuda_rule.hpp - the interface between host/ and the kernels of a rule; plain C++ on both sides.
#pragma once

#include <array>

#include "onepass/storage/formats.hpp"
#include "onepass/stream.hpp"
#include "step/table.hpp"

namespace onepass::kernels {

using namespace step;

/// The launch functions of one kernel of a rule, for the current device.
struct CudaLaunch {
  /// Returns how many thread blocks fit on the device at once. Loads the kernel. Throws CudaError.
  int (*resident_blocks)() = nullptr;
  /// Launches once over the table's chunks (prepare: over the tensors), asynchronously on the stream. Throws
  /// CudaError.
  void (*launch)(const Table& table, int resident_blocks, Stream stream) = nullptr;
};

/// The update kernels of one variant, one for each of storage::Formats.
using CudaUpdates = std::array<CudaLaunch, storage::kFormatCount>;

/// The kernels of a pass over rows and columns (kernels/update/axes.cuh), in any format; null functions if a
/// variant has no such pass.
struct CudaAxes {
  CudaLaunch measure;       ///< Launches once over Table::axis_tiles.
  CudaLaunch move_lines;    ///< Over Table::axis_lines.
  CudaLaunch make_numbers;  ///< Over Table::axis_matrices.
};

/// The kernels of a rule.
struct CudaRule {
  CudaLaunch prepare;
  const CudaUpdates* updates;  ///< An array in the order of Rule::Variants.
  const CudaLaunch* measures;  ///< The same of kernels for the sums over tensors, in any format; or null.
  const std::array<CudaAxes, 2>* axes;  ///< The same of passes over rows and columns.
  CudaLaunch finish;                    ///< Completes the coefficients with these sums; or null.
};

/// Returns the kernels of a rule. One small .cu per rule specialises it.
template <class Rule>
const CudaRule& cuda_rule();  // defined in generated files only: kernels/update/rule.cu.in

}  // namespace onepass::kernels
