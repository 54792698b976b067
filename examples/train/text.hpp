// text.hpp - turns the text of an option into its value, or says what it should have been.
#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

namespace train {

constexpr std::int64_t kLargest = std::int64_t{1} << 31;  // of the numbers that count something

/// One of the values of an option that takes a name.
struct Choice {
  std::string name;
  std::string meaning;
};

/// Throws UsageError: "OPTION must be WANTED, but is 'TEXT'".
[[noreturn]] void reject(std::string_view option, std::string_view wanted, std::string_view text);

/// Inclusive.
struct Bounds {
  std::int64_t low = 1;
  std::int64_t high = kLargest;
};

/// Empty if the text is something else.
std::optional<std::int64_t> whole_number(std::string_view text, Bounds bounds);

/// Each throws UsageError if the text is something else.
std::int64_t read_whole(std::string_view option, std::string_view text, Bounds bounds = {});
double read_nonnegative(std::string_view option, std::string_view text);
double read_positive(std::string_view option, std::string_view text);
/// In [0, 1).
double read_share(std::string_view option, std::string_view text);
/// Numbers with commas between them; 64x8 stands for eight times 64.
std::vector<std::int64_t> read_widths(std::string_view option, std::string_view text);

/// The inverse, with a separator of one's own.
std::string write_widths(const std::vector<std::int64_t>& widths, std::string_view separator = ",");

/// "sgd, adam or adamw"
std::string one_of(const std::vector<Choice>& choices);
/// Where `text` stands among the names.
std::size_t read_choice(std::string_view option, std::string_view text, const std::vector<Choice>& choices);

/// The words between the blanks.
std::vector<std::string> split_words(std::string_view text);
std::string trim(std::string_view text);

}  // namespace train
