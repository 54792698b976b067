// check_tensor.hpp - checks a tensor that the caller passes to a free function.
#pragma once

#include <cstdint>

#include "onepass/tensor.hpp"

namespace onepass {

/// Most elements of a tensor. Sizes in bytes do not overflow.
inline constexpr std::int64_t kMostElements = std::int64_t{1} << 53;

/// Names the function and its argument in an error: "onepass: dropout_forward: out ..."
struct TensorRole {
  const char* function;
  const char* name;
};

/// Checks that a tensor is of `dtype` and has from 0 to kMostElements elements; and if it has any, that its
/// memory is on its device and aligned to an element. Throws InvalidArgument if not. Changes nothing.
void check_tensor(const TensorRole& role, const Tensor& tensor, DType dtype = DType::float32);

/// Checks that two tensors begin at the same address or share no byte. Throws InvalidArgument if not.
void check_same_or_apart(const TensorRole& role, const Tensor& tensor, const char* other_name,
                         const Tensor& other);

}  // namespace onepass
