// draw.hpp - the random choices of one seed, the calls made so far, and the error of a wrong result.
#pragma once

#include <algorithm>
#include <cstddef>
#include <cstdint>
#include <initializer_list>
#include <limits>
#include <stdexcept>
#include <string>
#include <vector>

#include "onepass/error.hpp"
#include "support/numbers/values.hpp"

namespace onepass::fuzz {

/// The library did something else than it promises. what() says what.
struct Mismatch : std::runtime_error {
  using std::runtime_error::runtime_error;
};

/// Throws Mismatch unless the claim holds.
inline void require(bool holds, const std::string& claim) {
  if (!holds) throw Mismatch(claim);
}

/// The calls of a seed, to be printed if one of them fails.
class Trace {
 public:
  void call(std::string text) { calls_.push_back(std::move(text)); }
  /// Adds to the text of the last call.
  void add(const std::string& text) { calls_.back() += text; }
  [[nodiscard]] const std::vector<std::string>& calls() const { return calls_; }

 private:
  std::vector<std::string> calls_;
};

/// Draws numbers that depend on the seed alone.
class Draw {
 public:
  explicit Draw(std::uint64_t seed) : key_(test::mix(seed)) {}

  std::uint64_t bits() { return test::mix(key_++); }
  double uniform() { return test::uniform(key_++); }
  /// Returns a number in [0, count).
  std::size_t below(std::size_t count) { return static_cast<std::size_t>(bits() % count); }
  bool chance(double probability) { return uniform() < probability; }
  double between(double least, double most) { return least + (most - least) * uniform(); }
  template <class T>
  T pick(std::initializer_list<T> values) {
    return values.begin()[below(values.size())];
  }
  /// Returns a number that no setting may have.
  double forbidden() {
    return pick({std::numeric_limits<double>::quiet_NaN(), -std::numeric_limits<double>::infinity(), -1.0});
  }
  /// Returns a number that few settings may have.
  double odd() {
    return pick({std::numeric_limits<double>::quiet_NaN(), std::numeric_limits<double>::infinity(), -1.0, 0.0,
                 -0.0, 1.0, 1e300, 3.5e38, 3e38, 1e30, 1e-30, 1e-38, 1e-45, 1e-46, 5e-324});
  }
  std::int64_t odd_count() {
    constexpr std::int64_t kLargest = std::numeric_limits<std::int64_t>::max();
    return pick({std::int64_t{-1}, -kLargest - 1, kLargest, std::int64_t{0}, std::int64_t{1} << 53,
                 (std::int64_t{1} << 53) + 1, std::int64_t{1} << 32, std::int64_t{7}});
  }

 private:
  std::uint64_t key_;
};

/// Makes a call that may be refused. Returns whether it was taken, and adds that to the trace. Throws
/// Mismatch if the refusal does not begin as it should.
template <class Call>
bool taken(Trace& trace, Call call) {
  try {
    call();
    return true;
  } catch (const InvalidArgument& error) {
    const std::string sentence = error.what();
    trace.add(" (refused: " + sentence + ")");
    require(sentence.starts_with("onepass: "), "the refusal does not begin with \"onepass: \"");
    return false;
  }
}

/// Damages bytes: single bits, stretches, or all of them.
inline void damage(Draw& draw, std::vector<std::byte>& bytes) {
  if (bytes.empty()) return;
  const std::size_t first = draw.below(bytes.size());
  const std::size_t most = draw.pick({std::size_t{1}, std::size_t{8}, bytes.size()});
  const std::size_t last = std::min(bytes.size(), first + most);
  for (std::size_t i = first; i < last; ++i) bytes[i] = static_cast<std::byte>(draw.bits() & 0xff);
}

/// Damages a text: empties it, cuts it, or changes a letter.
inline void damage(Draw& draw, std::string& text) {
  const std::size_t kind = draw.below(4);
  if (kind == 0 || text.empty()) {
    text = draw.pick({std::string(), std::string("nan"), std::string("-1"), std::string("1e999"),
                      std::string("0x1p-3"), std::string(1000, 'x'), std::string("true")});
  } else if (kind == 1) {
    text.resize(draw.below(text.size()));
  } else if (kind == 2) {
    text += static_cast<char>(draw.bits() & 0xff);
  } else {
    text[draw.below(text.size())] = static_cast<char>(draw.bits() & 0xff);
  }
}

}  // namespace onepass::fuzz
