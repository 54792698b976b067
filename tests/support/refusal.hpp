// refusal.hpp - checks that bad input is refused with a message that says what is wrong.
#pragma once

#include <gtest/gtest.h>

#include <initializer_list>
#include <string>

#include "onepass/error.hpp"

namespace onepass::test {

/// Succeeds if `action` throws InvalidArgument with a message that starts with "onepass: " and contains each
/// of `words`: the requirement, the value received, and the tensor or hyperparameter concerned.
template <class Action>
testing::AssertionResult refused(Action action, std::initializer_list<std::string> words) {
  try {
    action();
  } catch (const InvalidArgument& error) {
    const std::string sentence = error.what();
    if (!sentence.starts_with("onepass: ")) {
      return testing::AssertionFailure() << "the message does not start with \"onepass: \": " << sentence;
    }
    for (const std::string& word : words) {
      if (sentence.find(word) == std::string::npos) {
        return testing::AssertionFailure() << "\"" << word << "\" is not in: " << sentence;
      }
    }
    return testing::AssertionSuccess();
  } catch (const std::exception& error) {
    return testing::AssertionFailure() << "not InvalidArgument, but: " << error.what();
  }
  return testing::AssertionFailure() << "was accepted";
}

}  // namespace onepass::test
