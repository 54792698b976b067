// errors.hpp - the two errors that end onepass-train.
#pragma once

#include <stdexcept>
#include <string_view>

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

/// Returns the message of an error of the library without the "onepass: " that it begins with.
inline std::string_view without_prefix(std::string_view message) {
  constexpr std::string_view kPrefix = "onepass: ";
  return message.starts_with(kPrefix) ? message.substr(kPrefix.size()) : message;
}

}  // namespace train
