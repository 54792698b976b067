// check_parameters.hpp - checks the parameters and gradients that a caller registers with an optimizer.
#pragma once

#include <cstddef>
#include <span>
#include <string>
#include <string_view>
#include <unordered_map>
#include <vector>

#include "onepass/parameter.hpp"

namespace onepass {

/// The optimizer that new parameters are checked against.
struct CheckContext {
  std::size_t group_count;
  std::span<const Parameter> registered;  ///< The parameters that the optimizer already has.
  bool zeroes_gradients;  ///< Whether its steps zero the gradients (GradientHandling::zero_grad).
  std::vector<std::span<const std::byte>> own;  ///< The memory that the optimizer keeps for its parameters.
};

// Each of these functions changes nothing, and throws InvalidArgument if a check fails.

/// The device of the parameters: that of the first registered one; if there are no registered ones, of the
/// first added one. Throws if there is neither.
Device device_of(const CheckContext& context, std::span<const Parameter> added);

/// Checks what one tensor of a parameter needs: memory on the device, aligned to its elements. `role`: what
/// the tensor is, for the error.
void check_memory(std::string_view role, std::string_view parameter, const Tensor& tensor, Device device);

/// Checks that all elements have a place in the logical tensor: first, run and pitch. The number of elements
/// must lie in [0, 2^53].
void check_place(const Parameter& parameter);

/// Checks the group of a parameter, and the size, type and place of its value.
void check_kind(std::size_t group_count, const Parameter& parameter);

/// Checks sizes, types, pointers and devices of a parameter's value, gradient and copy.
void check_tensors(const Parameter& parameter, Device device);

/// Checks names and groups of `added`, and the tensors of each.
void check_parameters(const CheckContext& context, std::span<const Parameter> added, Device device);

/// Checks that nothing that a step writes overlaps anything else that it reads or writes, among all
/// parameters. If steps zero gradients, these count as written.
void check_apart(const CheckContext& context, std::span<const Parameter> added);

/// Checks that the gradients of the registered parameters share no memory. A step that zeroes one would clear
/// the other before it is read.
void check_gradients_apart(const CheckContext& context);

/// Checks new gradients for the registered parameters, one for each.
void check_gradients(const CheckContext& context, std::span<const Tensor> gradients, Device device);

}  // namespace onepass
