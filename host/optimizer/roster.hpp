// roster.hpp - the parameters of an optimizer, and the memory that it keeps for each.
#pragma once

#include <cstddef>
#include <cstdint>
#include <memory>
#include <span>
#include <string>
#include <unordered_map>
#include <vector>

#include "host/optimizer/memory/state_memory.hpp"
#include "onepass/parameter.hpp"

namespace onepass {

/// The memory that enroll() allocates for new parameters.
struct Enrolled {
  std::vector<std::uint8_t> formats;  ///< Index in storage::Formats of each parameter.
  StateMemory streams;
  StateMemory gradient_sums;  ///< Has no streams if the optimizer does not accumulate gradients.
  StateMemory line_sums;      ///< line_sums_of() each parameter.
};

/// The memory that one registration allocated. The parameters that it registered share it.
struct Registration {
  DeviceBuffer streams;
  DeviceBuffer gradient_sums;
  DeviceBuffer line_sums;

  /// Appends all of its memory to a list.
  template <class Bytes>
  void append_to(std::vector<Bytes>& list) const {
    for (const DeviceBuffer* const buffer : {&streams, &gradient_sums, &line_sums}) {
      if (buffer->bytes() > 0) list.emplace_back(buffer->as<std::byte>(), buffer->bytes());
    }
  }
};

/// The registered parameters, in order, and the format and memory of each.
struct Roster {
  std::vector<Parameter> parameters;
  std::vector<std::uint8_t> formats;  ///< Index in storage::Formats of each parameter.
  std::vector<StreamPlaces> streams;  ///< Of each parameter, in the order of streams_of().
  std::vector<double*> line_sums;     ///< Of each parameter.
  std::vector<void*> gradient_sums;   ///< Empty if the optimizer does not accumulate gradients.
  std::vector<std::shared_ptr<const Registration>> registrations;  ///< Keep the memory of each parameter.
  std::unordered_map<std::string, std::size_t> index_by_name;

  void append(std::vector<Parameter> added, Enrolled enrolled);
  /// Returns the roster of some of the parameters, which are numbers in rising order.
  [[nodiscard]] Roster only(std::span<const std::size_t> kept) const;
  [[nodiscard]] std::vector<std::int64_t> numels() const;
  /// All memory that registrations have allocated and parameters still use.
  [[nodiscard]] std::vector<std::span<const std::byte>> own_memory() const;
};

}  // namespace onepass
