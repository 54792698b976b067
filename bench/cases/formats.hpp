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
};

/// Returns all of storage::Formats, with both types of gradients and both roundings if these have their own
/// loops.
std::span<const FormatChoice> format_choices();

/// Returns the index of the format in storage::Formats.
std::size_t format_index(const FormatChoice& format);

}  // namespace onepass::bench
