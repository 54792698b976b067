// sentence.hpp - how errors print numbers and names, and how an optimizer throws them.
#pragma once

#include <charconv>
#include <string>
#include <string_view>

#include "onepass/error.hpp"

namespace onepass {

/// Returns the shortest text that reads back as the same number: "0.1", "nan".
inline std::string number(double value) {
  char text[32];
  const auto end = std::to_chars(text, text + sizeof text, value).ptr;
  return {text, end};
}

/// Returns the name in double quotes.
inline std::string quoted(std::string_view name) { return '"' + std::string(name) + '"'; }

/// "1 element", "12 elements"
inline std::string elements(long long count) {
  return std::to_string(count) + (count == 1 ? " element" : " elements");
}

/// "exp_avg, exp_avg_sq"; "none" if there are no names.
template <class Names>
std::string listed(const Names& names) {
  std::string text;
  for (const auto& name : names) text += (text.empty() ? "" : ", ") + std::string(name);
  return text.empty() ? "none" : text;
}

/// Throws InvalidArgument: "onepass: Optimizer: ..."
[[noreturn]] inline void refuse(const std::string& sentence) {
  throw InvalidArgument("onepass: Optimizer: " + sentence);
}

}  // namespace onepass
