// storage_layout.hpp - chooses the format of a parameter, and lists the streams that an optimizer keeps for
// it.
#pragma once

#include <cstddef>
#include <cstdint>
#include <optional>
#include <span>
#include <vector>

#include "onepass/ema.hpp"
#include "onepass/parameter.hpp"
#include "onepass/storage/formats.hpp"

namespace onepass {

/// The purpose of a stream.
enum class StreamRole : std::uint8_t {
  state,      ///< A state of the rule.
  remainder,  ///< The master, or the bits that the parameter lacks of its master.
  ema,        ///< The parameter's moving average.
};

/// One stream of numbers.
struct StreamSpec {
  const char* name;  ///< "exp_avg", "master" or "remainder", "ema".
  StreamRole role;
  DType dtype;
  bool has_scales;  ///< Quantised: numel codes, and a scale for each block (step/table.hpp says where).

  /// Bytes in memory, including the gap before the scales.
  [[nodiscard]] std::size_t bytes(std::int64_t numel) const;
  /// Bytes that a step reads, or writes, for one element on average.
  [[nodiscard]] double bytes_each() const;
};

/// Throws InvalidArgument if the storage asks for a master or states that only 16-bit parameters can have,
/// and all parameters are float32.
void check_storage(const Storage& storage, std::span<const Parameter> registered,
                   std::span<const Parameter> added);

/// Returns the index in storage::Formats of the format that a parameter asks for. If there is no such format,
/// throws InvalidArgument, which names the formats that are built, and the line that would add it.
std::uint8_t format_of(const Parameter& parameter, const Storage& storage);

const storage::FormatName& format_name(std::uint8_t format);

/// Returns the streams that an optimizer keeps for a parameter: the rule's states, then its master or
/// remainder, then its moving average.
std::vector<StreamSpec> streams_of(std::uint8_t format, std::span<const char* const> states,
                                   const std::optional<EMA>& ema);

}  // namespace onepass
