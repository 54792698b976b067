// state_memory.hpp - the memory that an optimizer allocates for its parameters: states, remainders, averages.
#pragma once

#include <array>
#include <cstddef>
#include <span>
#include <vector>

#include "host/optimizer/memory/storage_layout.hpp"
#include "onepass/device.hpp"
#include "onepass/parameter.hpp"
#include "step/table.hpp"

namespace onepass {

/// The streams of one parameter, in the order of its StreamSpecs.
using StreamPointers = std::array<void*, step::kMaxStates + 2>;

/// The streams of parameters that were registered together, in one allocation.
struct StateMemory {
  DeviceBuffer allocation;
  std::vector<StreamPointers> streams;  ///< Of each parameter.

  [[nodiscard]] std::span<std::byte> bytes() const {
    return {allocation.as<std::byte>(), allocation.bytes()};
  }

  /// Allocates the streams that `specs` has for each parameter. They have no contents: Backend::start() gives
  /// them their first, and is the first to touch the memory.
  static StateMemory allocate(Device device, std::span<const Parameter> parameters,
                              std::span<const std::vector<StreamSpec>> specs);
};

}  // namespace onepass
