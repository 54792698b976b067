// check_parameters.hpp - checks the parameters and gradients that a caller registers with an optimizer.
#pragma once

#include <cstddef>
#include <span>
#include <string>
#include <unordered_map>
#include <vector>

#include "onepass/parameter.hpp"

namespace onepass {

/// The optimizer that new parameters are checked against.
struct CheckContext {
  std::size_t group_count;
  std::span<const Parameter> registered;  ///< The parameters that the optimizer already has.
  bool zeroes_gradients;  ///< Whether its steps zero the gradients (GradientHandling::zero_grad).
};

// Each of these functions changes nothing, and throws InvalidArgument if a check fails.

/// The device of the parameters: that of the first registered one; if there are no registered ones, of the
/// first added one. Throws if there is neither.
Device device_of(const CheckContext& context, std::span<const Parameter> added);

/// Checks names, groups, sizes, pointers, devices and overlaps of `added`, among themselves and with
/// `registered`.
void check_parameters(const CheckContext& context, std::span<const Parameter> added, Device device);

/// Checks sizes, pointers, devices and overlaps of parameters whose memory has moved. `context` has all
/// parameters, with their new memory.
void check_moved(const CheckContext& context, std::span<const Parameter> moved, Device device);

/// Checks that the gradients of the registered parameters share no memory. A step that zeroes one would clear
/// the other before it is read.
void check_gradients_apart(const CheckContext& context);

/// Checks new gradients for the registered parameters, one for each.
void check_gradients(const CheckContext& context, std::span<const Tensor> gradients, Device device);

}  // namespace onepass
