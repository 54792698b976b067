// convert.hpp - numbers in one storage format to float32, exactly, and to another, rounded to nearest.
#pragma once

#include <cstddef>
#include <cstdint>
#include <span>

#include "onepass/storage/formats.hpp"

namespace onepass::checkpoint {

/// The stored elements of one state, which are consecutive in the logical tensor. Those in 8 bits have a
/// scale for each block.
template <class Byte>
struct StoredState {
  States format;
  bool is_nonnegative;  ///< Selects the codec of 8 bits.
  std::span<Byte> elements;
  std::span<Byte> scales;
  std::size_t lead = 0;  ///< Elements of the first block before these.
};

void decode_state(const StoredState<const std::byte>& from, std::span<float> to);
/// May change `from`.
void encode_state(std::span<float> from, const StoredState<std::byte>& to);

/// The stored elements of a parameter, and its master or remainder.
template <class Byte>
struct StoredValue {
  storage::FormatName format;  ///< Its states do not matter.
  std::span<Byte> elements;
  std::span<Byte> rest;
};

/// Returns whether the two functions below know the codec of a parameter in this format.
[[nodiscard]] bool has_codec(const storage::FormatName& format);

/// Decodes the number that a step would move: the master, or the parameter with its remainder.
void decode_value(const StoredValue<const std::byte>& from, std::span<float> to);
void encode_value(std::span<const float> from, const StoredValue<std::byte>& to);

/// Rounds to float32, bfloat16 or float16.
void encode_numbers(std::span<const float> from, DType dtype, std::span<std::byte> to);
void decode_numbers(DType dtype, std::span<const std::byte> from, std::span<float> to);

}  // namespace onepass::checkpoint
