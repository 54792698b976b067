// check.hpp - every check of what a caller registers, and every sentence about it.
#pragma once

#include <cstddef>
#include <span>
#include <string>
#include <unordered_map>
#include <vector>

#include "onepass/parameter.hpp"

namespace onepass {

/// What new parameters are held against.
struct CheckContext {
  const char* rule;  ///< For the sentence: "AdamW".
  std::size_t group_count;
  std::span<const Parameter> registered;  ///< Those that are there already.
};

/// Each throws InvalidArgument and changes nothing.

/// The device of the first parameter; that of `registered` where there are any. Throws if nothing is given.
Device device_of(const CheckContext& context, std::span<const Parameter> added);

/// Names, groups, sizes, pointers, devices, overlaps, of `added` among themselves and with `registered`.
void check_parameters(const CheckContext& context, std::span<const Parameter> added, Device device);

/// New gradients of registered parameters.
void check_gradients(const CheckContext& context, std::span<const Tensor> gradients, Device device);

}  // namespace onepass
