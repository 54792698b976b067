// lexer.hpp - splits PTX text into tokens.
#pragma once

#include <string_view>

#include "ptx/types.hpp"

namespace cuda_emulator {

struct Token {
  enum class Kind { word, number, string, punctuation, newline, end };
  Kind kind = Kind::end;
  std::string_view text;
  std::size_t offset = 0;  ///< Offset of the first character in the whole text.

  bool is(std::string_view other) const { return text == other && kind != Kind::end; }
};

/// Splits one PTX text. A word keeps its dots and double colons ("ld.global.L2::128B", "%tid.x").
class Lexer {
 public:
  explicit Lexer(std::string_view text, std::size_t offset = 0) : text_(text), position_(offset) {}

  Token next();
  const Token& peek();
  bool accept(std::string_view expected);
  Token expect(std::string_view expected);
  std::string_view word();
  long long integer();

  /// Returns the rest of the line without the newline. `.loc` and `.file` end with their line, not with ';'.
  std::string_view rest_of_line();
  /// Skips to the character after the `}` that closes an already opened `{`.
  void skip_block();

  std::size_t position() const { return peeked_ ? token_.offset : position_; }
  std::string_view text() const { return text_; }
  int line_at(std::size_t offset) const;
  [[noreturn]] void fail(const std::string& what);

 private:
  void skip_blanks();
  Token scan();

  std::string_view text_;
  std::size_t position_;
  Token token_;
  bool peeked_ = false;
};

}  // namespace cuda_emulator
