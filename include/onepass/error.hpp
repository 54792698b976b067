// error.hpp - the exceptions that onepass throws.
#pragma once

#include <stdexcept>

namespace onepass {

/// The caller asked for something that cannot be done: what() says what was asked, what came and which
/// tensor or hyperparameter, in one sentence. Whoever threw it has changed nothing.
class InvalidArgument : public std::invalid_argument {
 public:
  using std::invalid_argument::invalid_argument;
};

/// A step met a gradient that is not finite, and NonFinite::error was asked for: what() names the first
/// tensor and element. Thrown by Optimizer::check(); the step has changed nothing.
class NonFiniteGradient : public std::runtime_error {
 public:
  using std::runtime_error::runtime_error;
};

/// A call of the CUDA runtime or a kernel launch failed: what() names the call, the device and the reason.
class CudaError : public std::runtime_error {
 public:
  using std::runtime_error::runtime_error;
};

}  // namespace onepass
