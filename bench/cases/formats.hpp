// formats.hpp - the storage formats that are measured, by name.
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
  std::string_view partner;  ///< The format whose time this one's is compared with; empty for none.
};

/// All of storage::Formats, with gradients of both types and both ways of rounding where they make a loop of
/// their own.
std::span<const FormatChoice> format_choices();

/// Index into storage::Formats.
std::size_t format_index(const FormatChoice& format);

}  // namespace onepass::bench
