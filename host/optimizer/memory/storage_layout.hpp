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

/// The storage of parameters that name none of their own.
struct StorageChoice {
  Storage sixteen_bits;  ///< Options::storage
  Storage float32;       ///< Options::float32_storage

  /// The storage of a parameter.
  [[nodiscard]] const Storage& of(const Parameter& parameter) const {
    if (parameter.storage) return *parameter.storage;
    return parameter.value.dtype == DType::float32 ? float32 : sixteen_bits;
  }
};

/// Throws InvalidArgument if a storage asks for a master, or states other than float32, and no parameter has
/// the type that it is for.
void check_storage(const StorageChoice& storage, std::span<const Parameter> parameters);

/// Returns the index in storage::Formats of the format that a parameter has in a storage. If there is no such
/// format, throws InvalidArgument, which names the formats that there are.
std::uint8_t format_of(const Parameter& parameter, const Storage& storage);

const storage::FormatName& format_name(std::uint8_t format);

/// Returns the streams that an optimizer keeps for a parameter: the rule's states, then its master or
/// remainder, then its moving average.
std::vector<StreamSpec> streams_of(std::uint8_t format, std::span<const char* const> states,
                                   const std::optional<EMA>& ema);

}  // namespace onepass
