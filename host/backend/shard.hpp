// shard.hpp - the elements of a logical tensor that a parameter has, and the blocks that they are cut into.
#pragma once

#include <cstdint>
#include <string>
#include <vector>

#include "onepass/parameter.hpp"

namespace onepass {

/// The elements of a logical tensor that a parameter has, in the order of its memory: ranges of `run`
/// elements that begin `pitch` apart in the tensor, from its element `first` on. A whole tensor, and any part
/// without gaps, is one range.
struct Shard {
  std::int64_t numel;
  std::int64_t first;
  std::int64_t run;    ///< Divides numel, and is numel if there is one range.
  std::int64_t pitch;  ///< At least run.

  /// Returns the shard in its one form: ranges without a gap between them become one.
  static Shard of(std::int64_t numel, std::int64_t first, std::int64_t run, std::int64_t pitch);
  static Shard of(const Parameter& parameter) {
    return of(parameter.value.numel, parameter.first, parameter.run, parameter.pitch);
  }
  /// A tensor that is no shard.
  static Shard whole(std::int64_t numel) { return {numel, 0, numel, numel}; }

  [[nodiscard]] std::int64_t ranges() const { return run == 0 ? 0 : numel / run; }
  /// The first element of a range in the logical tensor.
  [[nodiscard]] std::int64_t begin_of(std::int64_t range) const { return first + range * pitch; }
  /// One after the last element in the logical tensor.
  [[nodiscard]] std::int64_t last() const { return numel == 0 ? first : begin_of(ranges() - 1) + run; }

  /// The number of blocks of the logical tensor that the ranges before `range` have elements of. A block that
  /// two ranges have elements of counts twice: each of them has a scale of its own for its elements.
  [[nodiscard]] std::int64_t blocks_before(std::int64_t range) const;
  /// The scale of an element of the value, counted among those of a state.
  [[nodiscard]] std::int64_t scale_of(std::int64_t element) const;
  /// The number of scales that a state of 8 bits has.
  [[nodiscard]] std::int64_t scales() const { return blocks_before(ranges()); }

  /// "the elements from 64 to 128", and if they are strided "... in runs of 8 that begin 32 apart".
  [[nodiscard]] std::string text() const;

  bool operator==(const Shard&) const = default;
};

/// Consecutive elements of a logical tensor that two shards have.
struct Common {
  std::int64_t first;  ///< In the logical tensor.
  std::int64_t from;   ///< The same element in the value of one shard.
  std::int64_t to;     ///< And of the other.
  std::int64_t count;
  /// Elements at either end whose block the two shards have different parts of. They may meet.
  std::int64_t divided_first = 0, divided_last = 0;

  /// The `some` elements from number `begin` of these on, none of them divided.
  [[nodiscard]] Common part(std::int64_t begin, std::int64_t some) const {
    return {first + begin, from + begin, to + begin, some};
  }
};

/// Returns all elements that both shards have, in rising order.
[[nodiscard]] std::vector<Common> common_of(const Shard& from, const Shard& to);

/// The number of blocks that `count` elements have elements of, from element `first` of a logical tensor on.
[[nodiscard]] std::int64_t blocks_of(std::int64_t first, std::int64_t count);

}  // namespace onepass
