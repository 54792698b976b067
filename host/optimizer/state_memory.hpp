// state_memory.hpp - the optimizer's own memory: the states of its parameters.
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

/// Fills a stream of float32 or bfloat16 with what a parameter is, rounded to the nearest. Waits.
void start_at(const Tensor& value, const Tensor& stream);

/// Streams of parameters that were registered together, in one block. Zero at first.
struct StateMemory {
  DeviceBuffer block;
  std::vector<StreamPointers> streams;  ///< One a parameter.

  /// Allocates and zeroes; waits until it is done. `specs` are those of each parameter.
  static StateMemory allocate(Device device, std::span<const Parameter> parameters,
                              std::span<const std::vector<StreamSpec>> specs);
};

}  // namespace onepass
