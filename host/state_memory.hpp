// state_memory.hpp - the optimizer's own memory: the states of its parameters.
#pragma once

#include <array>
#include <cstddef>
#include <span>
#include <vector>

#include "kernels/table.hpp"
#include "onepass/device.hpp"
#include "onepass/parameter.hpp"

namespace onepass {

/// The states of one parameter, in the order of the variant's names.
using StatePointers = std::array<void*, kernels::kMaxStates>;

/// States of parameters that were registered together, in one block. Zero at first.
struct StateMemory {
  DeviceBuffer block;
  std::vector<StatePointers> states;  ///< One a parameter.

  /// Allocates and zeroes; waits until it is done.
  static StateMemory allocate(Device device, std::span<const Parameter> parameters, std::size_t state_count);
};

}  // namespace onepass
