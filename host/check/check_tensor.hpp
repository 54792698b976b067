// check_tensor.hpp - checks of a tensor that a free function is called with, and sentences about it.
#pragma once

#include "onepass/tensor.hpp"

namespace onepass {

/// Who is asked for what: "onepass: dropout_forward: out ..."
struct TensorRole {
  const char* function;
  const char* name;
};

/// Throws InvalidArgument and has changed nothing, unless the tensor is of float32, has 0 elements or more,
/// and if more, memory that is on its device and aligned to an element.
void check_tensor(const TensorRole& role, const Tensor& tensor);

/// Throws InvalidArgument where the two share some bytes and are not the same.
void check_same_or_apart(const TensorRole& role, const Tensor& tensor, const char* other_name,
                         const Tensor& other);

}  // namespace onepass
