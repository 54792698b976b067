// precision.hpp - the table of --precision: storage of parameters, gradients and states.
#pragma once

#include <span>
#include <string_view>

#include "onepass/storage/storage.hpp"
#include "onepass/tensor.hpp"
#include "training/settings.hpp"

namespace train {

/// A precision and its name on the command line.
struct PrecisionKind {
  std::string_view name;
  std::string_view meaning;
  onepass::DType dtype;  ///< Number format of parameters and gradients.
  onepass::Master master = onepass::Master::none;
  onepass::States states = onepass::States::float32;
};

/// Returns all precisions in the order of --help; the first keeps everything in float32.
std::span<const PrecisionKind> precision_kinds();
/// Returns nullptr for an unknown name.
const PrecisionKind* find_precision(std::string_view name);

/// Returns the entry of --precision. Throws UsageError for an unknown name, or if the precision does not
/// support
/// --rounding.
const PrecisionKind& precision_of(const Settings& settings);
/// Returns the optimizer's storage for the settings.
onepass::Storage storage_of(const Settings& settings);

}  // namespace train
