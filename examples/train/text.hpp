// text.hpp - turns the text of an option into its value, or explains what it should be.
#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

namespace train {

constexpr std::int64_t kLargest = std::int64_t{1} << 31;  // largest value of options that count something

/// A possible value of an option that takes a name.
struct Choice {
  std::string name;
  std::string meaning;
};

/// Throws UsageError: "OPTION must be WANTED, but is 'TEXT'".
[[noreturn]] void reject(std::string_view option, std::string_view wanted, std::string_view text);

/// The smallest and largest value allowed, both inclusive.
struct Bounds {
  std::int64_t low = 1;
  std::int64_t high = kLargest;
};

/// Returns nothing if the text is not a whole number within the bounds.
std::optional<std::int64_t> whole_number(std::string_view text, Bounds bounds);

/// These functions throw UsageError if the text is not such a value.
std::int64_t read_whole(std::string_view option, std::string_view text, Bounds bounds = {});
double read_nonnegative(std::string_view option, std::string_view text);
double read_positive(std::string_view option, std::string_view text);
/// Reads a number in [0, 1).
double read_share(std::string_view option, std::string_view text);
/// Reads numbers separated by commas; 64x8 means eight times 64.
std::vector<std::int64_t> read_widths(std::string_view option, std::string_view text);

/// The inverse of read_widths(), with any separator.
std::string write_widths(const std::vector<std::int64_t>& widths, std::string_view separator = ",");

/// Lists the names with a word before the last one, as in "sgd, adam and adamw".
std::string listed(const std::vector<std::string>& names, std::string_view word);
/// Lists the names, as in "sgd, adam or adamw".
std::string one_of(const std::vector<Choice>& choices);
/// Returns the index of the choice named `text`. Throws UsageError for an unknown name.
std::size_t read_choice(std::string_view option, std::string_view text, const std::vector<Choice>& choices);

/// Returns the words that are separated by blanks.
std::vector<std::string> split_words(std::string_view text);
/// Removes blanks at both ends.
std::string trim(std::string_view text);

}  // namespace train
