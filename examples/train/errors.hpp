// errors.hpp - the two errors that end onepass-train.
#pragma once

#include <stdexcept>

namespace train {

/// The command line asks for something that cannot be done. what() is one sentence; exit code 2.
class UsageError : public std::runtime_error {
 public:
  using std::runtime_error::runtime_error;
};

/// A problem with a file, the data or the machine. what() is one sentence; exit code 1.
class Failure : public std::runtime_error {
 public:
  using std::runtime_error::runtime_error;
};

}  // namespace train
