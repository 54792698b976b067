// table_kernels.hpp - small kernels on the table itself, whatever the rule.
#pragma once

#include <cstddef>
#include <span>

#include "onepass/stream.hpp"
#include "step/table.hpp"

namespace onepass::kernels {

using namespace step;

/// Blocks of zero_grad that fit on the current device at once; loads the kernels. Throws CudaError.
int zero_grad_blocks();

/// Writes zeros to every gradient that is there. One launch, asynchronous on the stream. Throws CudaError.
void zero_grad(const Table& table, int resident_blocks, Stream stream);

/// Writes bytes, a multiple of 8, to device memory aligned to 8. They travel in the launch's own arguments,
/// so nothing is waited for, the caller's memory is free at once, and a captured graph keeps them. One launch
/// for about 4,000 bytes. Throws CudaError.
void write_bytes(void* to, std::span<const std::byte> bytes, Stream stream);

}  // namespace onepass::kernels
