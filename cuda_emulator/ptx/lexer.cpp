// lexer.cpp - splits PTX text into tokens.
#include "ptx/lexer.hpp"

#include <algorithm>
#include <cctype>
#include <charconv>

namespace cuda_emulator {
namespace {

bool is_word_character(char c) {
  return std::isalnum(static_cast<unsigned char>(c)) || c == '_' || c == '$' || c == '%' || c == '.';
}

}  // namespace

void Lexer::skip_blanks() {
  while (position_ < text_.size()) {
    if (std::isspace(static_cast<unsigned char>(text_[position_]))) {
      ++position_;
    } else if (text_.substr(position_, 2) == "//") {
      position_ = std::min(text_.find('\n', position_), text_.size());
    } else if (text_.substr(position_, 2) == "/*") {
      const std::size_t close = text_.find("*/", position_ + 2);
      position_ = close == std::string_view::npos ? text_.size() : close + 2;
    } else {
      return;
    }
  }
}

Token Lexer::scan() {
  skip_blanks();
  const std::size_t begin = position_;
  if (begin >= text_.size()) return {Token::Kind::end, {}, begin};
  const char first = text_[begin];
  if (first == '"') {
    const std::size_t close = text_.find('"', begin + 1);
    if (close == std::string_view::npos) fail("string without an end");
    position_ = close + 1;
    return {Token::Kind::string, text_.substr(begin + 1, close - begin - 1), begin};
  }
  if (!is_word_character(first)) {
    ++position_;
    return {Token::Kind::punctuation, text_.substr(begin, 1), begin};
  }
  while (position_ < text_.size()) {
    const bool scope = text_.substr(position_, 2) == "::" && position_ + 2 < text_.size() &&
                       is_word_character(text_[position_ + 2]);
    if (!scope && !is_word_character(text_[position_])) break;
    position_ += scope ? 2 : 1;
  }
  const bool number = std::isdigit(static_cast<unsigned char>(first)) != 0;
  return {number ? Token::Kind::number : Token::Kind::word, text_.substr(begin, position_ - begin), begin};
}

Token Lexer::next() {
  if (peeked_) {
    peeked_ = false;
    return token_;
  }
  return scan();
}

const Token& Lexer::peek() {
  if (!peeked_) token_ = scan();
  peeked_ = true;
  return token_;
}

bool Lexer::accept(std::string_view expected) {
  if (!peek().is(expected)) return false;
  next();
  return true;
}

Token Lexer::expect(std::string_view expected) {
  const Token token = next();
  if (!token.is(expected))
    fail("expected '" + std::string(expected) + "', got '" + std::string(token.text) + "'");
  return token;
}

std::string_view Lexer::word() {
  const Token token = next();
  if (token.kind != Token::Kind::word) fail("expected a name, got '" + std::string(token.text) + "'");
  return token.text;
}

long long Lexer::integer() {
  const bool negative = accept("-");
  const Token token = next();
  long long value = 0;
  const auto [end, error] = std::from_chars(token.text.begin(), token.text.end(), value);
  if (error != std::errc{}) fail("expected a number, got '" + std::string(token.text) + "'");
  return negative ? -value : value;
}

std::string_view Lexer::rest_of_line() {
  const std::size_t begin = position();
  peeked_ = false;
  position_ = std::min(text_.find('\n', begin), text_.size());
  return text_.substr(begin, position_ - begin);
}

void Lexer::skip_block() {
  // Only braces matter here. Scanning characters instead of tokens saves time, because every process skims a
  // module of many megabytes before its first launch.
  peeked_ = false;
  int depth = 1;
  while (depth > 0) {
    position_ = text_.find_first_of("{}", position_);
    if (position_ == std::string_view::npos) {
      position_ = text_.size();
      fail("'{' without an end");
    }
    depth += text_[position_++] == '{' ? 1 : -1;
  }
}

int Lexer::line_at(std::size_t offset) const {
  return 1 + static_cast<int>(std::count(text_.begin(), text_.begin() + static_cast<long>(offset), '\n'));
}

void Lexer::fail(const std::string& what) {
  throw PtxError("PTX line " + std::to_string(line_at(std::min(position_, text_.size()))) + ": " + what);
}

}  // namespace cuda_emulator
