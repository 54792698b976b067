// refusal.hpp - bad input must be refused with a sentence that says what is wrong.
#pragma once

#include <gtest/gtest.h>

#include <initializer_list>
#include <string>

#include "onepass/error.hpp"

namespace onepass::test {

/// Whether `action` throws InvalidArgument with a sentence of ours that contains each of `words`: what was
/// asked, what came, and which tensor or hyperparameter.
template <class Action>
testing::AssertionResult refused(Action action, std::initializer_list<std::string> words) {
  try {
    action();
  } catch (const InvalidArgument& error) {
    const std::string sentence = error.what();
    if (!sentence.starts_with("onepass: ")) {
      return testing::AssertionFailure() << "the sentence does not say who speaks: " << sentence;
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
