// convert.hpp - the library's values from the caller's structs, and back.
#pragma once

#include <string>
#include <vector>

#include "c/source/handles.hpp"

namespace onepass::c {

Device device_of(std::int32_t device);
DType dtype_of(std::int32_t value);
Tensor tensor_of(const onepass_tensor& tensor, Device device);
onepass_tensor tensor_of(const Tensor& tensor);
std::size_t group_of(std::int32_t group);

/// Returns a rule with some hyperparameters changed.
Rule changed(Rule rule, std::span<const onepass_setting> settings);
/// Makes the rule of each group. If there are several groups, errors also name the group.
std::vector<Rule> rules_of(const onepass_group* groups, std::int64_t count);
Options options_of(const onepass_options* options);
/// Makes the parameters. One without a name is called "tensor N", counted from `numbered`.
std::vector<Parameter> parameters_of(const onepass_parameter* parameters, std::int64_t count, Device device,
                                     std::size_t numbered);

/// Gives a list of texts to the caller, if the caller wants it.
void write_texts(onepass_texts** to, std::vector<std::string> texts);

}  // namespace onepass::c
