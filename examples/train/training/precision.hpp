// precision.hpp - how parameters, gradients and states are kept: the table of --precision.
#pragma once

#include <span>
#include <string_view>

#include "onepass/storage/storage.hpp"
#include "onepass/tensor.hpp"
#include "training/settings.hpp"

namespace train {

/// A name on the command line and what it stands for.
struct PrecisionKind {
  std::string_view name;
  std::string_view meaning;
  onepass::DType dtype;  ///< Of parameters and gradients.
  onepass::Master master = onepass::Master::none;
  onepass::States states = onepass::States::float32;
};

/// All of them, in the order of --help; the first keeps everything in float32.
std::span<const PrecisionKind> precision_kinds();
/// nullptr if there is none of this name.
const PrecisionKind* find_precision(std::string_view name);

/// The entry of --precision. Throws UsageError if there is none of this name, or if --rounding asks for what
/// it does not do.
const PrecisionKind& precision_of(const Settings& settings);
/// What the optimizer is to keep beside the parameters.
onepass::Storage storage_of(const Settings& settings);

}  // namespace train
