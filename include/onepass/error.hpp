// error.hpp - the exceptions that onepass throws.
#pragma once

#include <stdexcept>

namespace onepass {

/// The caller passed an argument that cannot be used. what() names the tensor or hyperparameter, the
/// requirement and the value, in one sentence. The call that threw has changed nothing.
class InvalidArgument : public std::invalid_argument {
 public:
  using std::invalid_argument::invalid_argument;
};

/// A step found a gradient that is not finite while the policy was NonFinite::error. what() names the first
/// such tensor and element. Optimizer::check() throws it; the step has changed nothing.
class NonFiniteGradient : public std::runtime_error {
 public:
  using std::runtime_error::runtime_error;
};

/// A call of the CUDA runtime or a kernel launch failed. what() names the call, the device and the reason.
class CudaError : public std::runtime_error {
 public:
  using std::runtime_error::runtime_error;
};

/// The operating system could not open, read or write a file. what() names the file and the reason.
class FileError : public std::runtime_error {
 public:
  using std::runtime_error::runtime_error;
};

}  // namespace onepass
