// storage_layout.hpp - chooses the format of a parameter, and lists the streams that an optimizer keeps for
// it.
#pragma once

#include <cstddef>
#include <cstdint>
#include <optional>
#include <span>
#include <string>
#include <vector>

#include "host/backend/rule_ops.hpp"
#include "host/backend/shard.hpp"
#include "onepass/options.hpp"
#include "onepass/parameter.hpp"
#include "onepass/storage/formats.hpp"

namespace onepass {

/// Returns the name of the enumerator: "split", "quantized8".
const char* to_string(Master master);
const char* to_string(States states);
/// "bfloat16 with master none and states float32"
std::string to_string(const storage::FormatName& name);

/// The purpose of a stream.
enum class StreamRole : std::uint8_t {
  state,      ///< A state of the rule.
  remainder,  ///< The master, or the bits that the parameter lacks of its master.
  ema,        ///< The parameter's moving average.
  slow,       ///< The parameter's slow weights.
  sum,        ///< The sum of its gradients.
  scalar,     ///< A number that the rule carries for the parameter: one float64.
  line,       ///< A state of rows or columns.
  kept,       ///< The bits of the parameter, or of its copy, while it is perturbed.
};

/// A stream of scales, or of numbers other than these.
struct StreamPart {
  std::string name;  ///< "exp_avg", "exp_avg.scales".
  DType dtype;
  std::int64_t numel;
  bool are_scales;

  [[nodiscard]] std::size_t bytes() const { return static_cast<std::size_t>(numel) * size_of(dtype); }
};

/// One stream of numbers.
struct StreamSpec {
  const char* name;  ///< "exp_avg", "master" or "remainder", "ema", "slow".
  StreamRole role;
  DType dtype;
  /// Type of the scales, if the stream is quantised: numel codes, and a scale for each block.
  std::optional<DType> scales = {};
  /// The number of numbers, if there is not one for each element of the parameter.
  std::optional<std::int64_t> numel = {};

  /// The numbers of the stream, and its scales if it has any.
  [[nodiscard]] std::vector<StreamPart> parts(const Shard& shard) const;
  /// Bytes in one stretch of memory, where the scales lie at byte step::scales_at(numel).
  [[nodiscard]] std::size_t bytes(const Shard& shard) const;
  /// Returns whether the stream begins as zeros, and not as the parameter (step/start.hpp).
  [[nodiscard]] bool begins_as_zeros() const {
    return role != StreamRole::ema && role != StreamRole::slow &&
           !(role == StreamRole::remainder && dtype == DType::float32);
  }
  /// Bytes of the numbers and the scales: those that a step reads, or writes.
  [[nodiscard]] double moved_bytes(const Shard& shard) const;
};

/// The sum of gradients, which an optimizer that accumulates them keeps beside these.
inline constexpr StreamSpec kGradientSum{"gradient_sum", StreamRole::sum, DType::float32};

/// The streams that an optimizer keeps of every parameter besides its rule's states and its master.
struct Kept {
  std::optional<EMA> ema;
  std::optional<Lookahead> lookahead;

  /// Takes them from the options. Throws InvalidArgument if a value is out of range.
  static Kept of(const Options& options);
};

/// Throws InvalidArgument if the optimizer keeps slow weights and a parameter in this format cannot take
/// them.
void check_slow(const Kept& kept, const Parameter& parameter, std::uint8_t format);

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

/// Returns the streams that an optimizer keeps for a parameter: the states of the rule's variant, then its
/// master or remainder, then its moving average and slow weights, then the scalars that the rule carries,
/// then its states of rows and columns.
std::vector<StreamSpec> streams_of(std::uint8_t format, const VariantOps& variant, const Kept& kept,
                                   const rule::Matrices& matrices);

/// The sums over rows and columns of a parameter's matrices, and the numbers that updates get of them
/// (step::AxisEntry), one after the other. They have no contents between two steps.
StreamSpec line_sums_of(const VariantOps& variant, const rule::Matrices& matrices);

}  // namespace onepass
