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

/// The place of a stream in memory.
struct StreamPlace {
  void* data;
  void* scales;  ///< Null if the stream has none.

  [[nodiscard]] void*& part(bool are_scales) { return are_scales ? scales : data; }
  [[nodiscard]] void* part(bool are_scales) const { return are_scales ? scales : data; }
};

/// The streams of one parameter, in the order of its StreamSpecs: states, master, average, scalars, and
/// states of rows and columns.
using StreamPlaces = std::array<StreamPlace, step::kMaxStates + 2 + step::kMaxScalars + step::kMaxAxes>;

/// Sets the places of the streams that the caller gives memory for (Parameter::streams).
void place_given(const Parameter& parameter, std::span<const StreamSpec> specs, StreamPlaces& places);

/// The streams of parameters that were registered together. Those without memory of the caller's lie in one
/// allocation.
struct StateMemory {
  DeviceBuffer allocation;
  std::vector<StreamPlaces> streams;  ///< Of each parameter.

  [[nodiscard]] std::span<std::byte> bytes() const {
    return {allocation.as<std::byte>(), allocation.bytes()};
  }

  /// Allocates the streams that `specs` has for each parameter. They have no contents: Backend::start() gives
  /// them their first, and is the first to touch the memory.
  static StateMemory allocate(Device device, std::span<const Parameter> parameters,
                              std::span<const std::vector<StreamSpec>> specs);
};

}  // namespace onepass
