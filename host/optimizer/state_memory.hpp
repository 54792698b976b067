// state_memory.hpp - the memory that an optimizer allocates for its parameters: states, remainders, averages.
#pragma once

#include <array>
#include <cstddef>
#include <span>
#include <vector>

#include "host/optimizer/storage_layout.hpp"
#include "onepass/device.hpp"
#include "onepass/parameter.hpp"
#include "step/table.hpp"

namespace onepass {

/// The streams of one parameter, in the order of its StreamSpecs.
using StreamPointers = std::array<void*, step::kMaxStates + 2>;

/// Fills a stream of float32 or bfloat16 with the values of a parameter, rounded to nearest. Waits until it
/// is done.
void start_at(const Tensor& value, const Tensor& stream);

/// The streams of parameters that were registered together, in one allocation.
struct StateMemory {
  DeviceBuffer allocation;
  std::vector<StreamPointers> streams;  ///< Of each parameter.

  /// Allocates the streams that `specs` has for each parameter, and fills them with 0. Waits until it is
  /// done.
  static StateMemory allocate(Device device, std::span<const Parameter> parameters,
                              std::span<const std::vector<StreamSpec>> specs);
};

}  // namespace onepass
