// json.hpp - JSON from files that may hold anything.
#pragma once

#include <cstddef>
#include <cstdint>
#include <nlohmann/json.hpp>
#include <string>
#include <string_view>

#include "onepass/error.hpp"

namespace onepass::checkpoint {

using Json = nlohmann::json;

/// Throws InvalidArgument: "onepass: ..." A caller adds the name of the file (naming(), below).
[[noreturn]] void refuse_content(const std::string& sentence);

/// Calls `action`. If it throws InvalidArgument, puts `start` before the sentence: the name of the file, and
/// "cannot be loaded".
template <class Action>
auto naming(const std::string& start, Action action) {
  try {
    return action();
  } catch (const InvalidArgument& error) {
    constexpr std::string_view kStart = "onepass: ";
    std::string sentence = error.what();
    if (sentence.starts_with(kStart)) sentence.erase(0, kStart.size());
    throw InvalidArgument("onepass: " + start + ": " + sentence);
  }
}

/// Parses a text. Throws InvalidArgument if it is no JSON, an object has a key twice, or objects and lists
/// are nested deeper than 16 times. `what`: "the header".
[[nodiscard]] Json parse(std::string_view text, const std::string& what);

/// Returns the text as a JSON string, in quotes. Throws InvalidArgument if it is no UTF-8.
[[nodiscard]] std::string json_string(const std::string& text);

/// The members of an object, each of which is taken once. All functions throw InvalidArgument.
class Fields {
 public:
  /// `place` stands in the sentences: "optimizers[0]". `value` must outlive this.
  Fields(const Json& value, std::string place);

  [[nodiscard]] bool has(const char* name) const { return object_.contains(name); }
  [[nodiscard]] const Json& take(const char* name);
  [[nodiscard]] std::int64_t whole(const char* name);
  [[nodiscard]] std::uint64_t natural(const char* name);
  [[nodiscard]] double number(const char* name);
  [[nodiscard]] bool flag(const char* name);
  [[nodiscard]] std::string text(const char* name);
  [[nodiscard]] const Json& list(const char* name);
  /// Refuses members that were not taken.
  void finish() const;
  /// "optimizers[0].steps"
  [[nodiscard]] std::string place_of(std::string_view name) const;

 private:
  const Json& take(const char* name, bool (Json::*is)() const noexcept, const char* wanted);

  const Json& object_;
  std::string place_;
  std::size_t taken_ = 0;
};

/// Returns a whole number that lies in the range of an std::int64_t. `place` stands in the sentence.
[[nodiscard]] std::int64_t whole_number(const Json& value, const std::string& place);

}  // namespace onepass::checkpoint
