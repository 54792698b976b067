// formats.hpp - the measured storage formats, by name.
#pragma once

#include <cstddef>
#include <span>
#include <string_view>

#include "onepass/storage/storage.hpp"
#include "onepass/tensor.hpp"

namespace onepass::bench {

struct FormatChoice {
  std::string_view name;  ///< "bf16_stochastic"
  DType param;
  DType grad;
  Storage storage;
  std::string_view partner;  ///< The format to compare times with; empty for none.

  /// Options::storage and Options::float32_storage for parameters in this format.
  [[nodiscard]] Storage low() const { return param == DType::float32 ? Storage{} : storage; }
  [[nodiscard]] Storage wide() const { return param == DType::float32 ? storage : Storage{}; }
};

/// Returns all of storage::FusedFormats, with both types of gradients and both roundings if these have their
/// own loops, and float32 with states of 8 bits.
std::span<const FormatChoice> format_choices();

/// Returns the index of the format in storage::Formats.
std::size_t format_index(const FormatChoice& format);

}  // namespace onepass::bench
