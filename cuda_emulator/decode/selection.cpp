// selection.cpp - the dotted words after an opcode.
#include "decode/selection.hpp"

#include <algorithm>

namespace cuda_emulator {

bool Modifiers::take(std::string_view word) {
  const auto found = std::find(words_.begin(), words_.end(), word);
  if (found == words_.end()) return false;
  words_.erase(found);
  return true;
}

int Modifiers::take_one(std::initializer_list<std::string_view> words, int otherwise) {
  int index = 0;
  for (const std::string_view word : words) {
    if (take(word)) return index;
    ++index;
  }
  return otherwise;
}

void Modifiers::drop(std::initializer_list<std::string_view> words) {
  for (const std::string_view word : words) take(word);
}

void Modifiers::drop_starting_with(std::string_view prefix) {
  std::erase_if(words_, [&](std::string_view word) { return word.starts_with(prefix); });
}

Type Modifiers::take_type() {
  const auto found = std::find_if(words_.begin(), words_.end(),
                                  [](std::string_view word) { return parse_type(word) != Type::none; });
  if (found == words_.end()) return Type::none;
  const Type type = parse_type(*found);
  words_.erase(found);
  return type;
}

Space Modifiers::take_space() {
  switch (take_one(
      {"global", "shared", "local", "param", "const", "shared::cta", "param::entry", "param::func"})) {
    case 0:
      return Space::global;
    case 1:
    case 5:
      return Space::shared;
    case 2:
      return Space::local;
    case 3:
    case 6:
    case 7:
      return Space::param;
    case 4:
      return Space::constant;
    default:
      return Space::generic;
  }
}

}  // namespace cuda_emulator
