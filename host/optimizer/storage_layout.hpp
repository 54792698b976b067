// storage_layout.hpp - the streams that an optimizer keeps for a parameter of a given format.
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

/// What a stream is to its parameter.
enum class StreamRole : std::uint8_t {
  state,      ///< Of the rule.
  remainder,  ///< What the parameter lacks of its master.
  ema,        ///< Its moving average.
};

/// One stream of numbers.
struct StreamSpec {
  const char* name;  ///< "exp_avg", "master" or "remainder", "ema".
  StreamRole role;
  DType dtype;
  bool grouped;  ///< Quantised: numel codes, and a scale for each group (step/table.hpp says where).

  /// What it takes in memory, the gap before the scales included.
  [[nodiscard]] std::size_t bytes(std::int64_t numel) const;
  /// What a step has to read, or to write, for one element on average.
  [[nodiscard]] double bytes_each() const;
};

/// Throws InvalidArgument if the storage asks for what 16-bit parameters have, and there are none.
void check_storage(const char* rule, const Storage& storage, std::span<const Parameter> registered,
                   std::span<const Parameter> added);

/// The index in storage::Formats of what a parameter asks for. Throws InvalidArgument, naming the rule, the
/// formats that there are and the line that would add it, if it is none of them.
std::uint8_t format_of(const char* rule, const Parameter& parameter, const Storage& storage);

const storage::FormatName& format_name(std::uint8_t format);

/// What an optimizer keeps: the rule's states, what a parameter lacks of its master, its moving average.
std::vector<StreamSpec> streams_of(std::uint8_t format, std::span<const char* const> states,
                                   const std::optional<EMA>& ema);

}  // namespace onepass
