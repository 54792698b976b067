// text.cpp - reads numbers, lists and names.
#include "text.hpp"

#include <fmt/format.h>

#include <algorithm>
#include <charconv>
#include <cmath>
#include <optional>

#include "errors.hpp"

namespace train {
namespace {

constexpr std::int64_t kWidestLayer = 65536;
constexpr std::int64_t kMostLayers = 1000;
constexpr std::string_view kBlanks = " \t\n";

template <class T>
std::optional<T> number(std::string_view text) {
  T value{};
  const auto [end, error] = std::from_chars(text.data(), text.data() + text.size(), value);
  if (error != std::errc{} || end != text.data() + text.size()) return std::nullopt;
  return value;
}

}  // namespace

std::optional<std::int64_t> whole_number(std::string_view text, Bounds bounds) {
  const std::optional<std::int64_t> value = number<std::int64_t>(text);
  return value && *value >= bounds.low && *value <= bounds.high ? value : std::nullopt;
}

void reject(std::string_view option, std::string_view wanted, std::string_view text) {
  throw UsageError(fmt::format("{} must be {}, but is '{}'", option, wanted, text));
}

std::int64_t read_whole(std::string_view option, std::string_view text, Bounds bounds) {
  const std::optional<std::int64_t> value = whole_number(text, bounds);
  if (!value) reject(option, fmt::format("a whole number from {} to {}", bounds.low, bounds.high), text);
  return *value;
}

double read_nonnegative(std::string_view option, std::string_view text) {
  const std::optional<double> value = number<double>(text);
  if (!value || !std::isfinite(*value) || *value < 0.0) reject(option, "a number that is not negative", text);
  return *value;
}

double read_positive(std::string_view option, std::string_view text) {
  const std::optional<double> value = number<double>(text);
  if (!value || !std::isfinite(*value) || *value <= 0.0) reject(option, "a number above 0", text);
  return *value;
}

double read_share(std::string_view option, std::string_view text) {
  const std::optional<double> value = number<double>(text);
  if (!value || !(*value >= 0.0 && *value < 1.0)) reject(option, "a number from 0 to less than 1", text);
  return *value;
}

std::vector<std::int64_t> read_widths(std::string_view option, std::string_view text) {
  std::vector<std::int64_t> widths;
  const auto refuse = [&] {
    reject(option,
           fmt::format("at most {} widths from 1 to {} with commas between them, such as 256,128 or 64x8",
                       kMostLayers, kWidestLayer),
           text);
  };
  for (std::size_t begin = 0; begin <= text.size();) {
    const std::size_t end = std::min(text.find(',', begin), text.size());
    const std::string_view part = text.substr(begin, end - begin);
    const std::size_t times = std::min(part.find('x'), part.size());
    const auto width = whole_number(part.substr(0, times), {1, kWidestLayer});
    const auto count = times == part.size() ? std::optional<std::int64_t>(1)
                                            : whole_number(part.substr(times + 1), {1, kMostLayers});
    if (!width || !count || std::ssize(widths) + *count > kMostLayers) refuse();
    widths.insert(widths.end(), static_cast<std::size_t>(*count), *width);
    begin = end + 1;
  }
  return widths;
}

std::string write_widths(const std::vector<std::int64_t>& widths, std::string_view separator) {
  std::string text;
  for (auto first = widths.begin(); first != widths.end();) {
    const auto next = std::find_if(first, widths.end(), [&](std::int64_t width) { return width != *first; });
    text += fmt::format("{}{}", text.empty() ? "" : separator, *first);
    if (next - first > 1) text += fmt::format("x{}", next - first);
    first = next;
  }
  return text;
}

std::string listed(const std::vector<std::string>& names, std::string_view word) {
  std::string text;
  for (std::size_t i = 0; i < names.size(); ++i) {
    if (i > 0) text += i + 1 == names.size() ? fmt::format(" {} ", word) : ", ";
    text += names[i];
  }
  return text;
}

std::string one_of(const std::vector<Choice>& choices) {
  std::vector<std::string> names;
  for (const Choice& choice : choices) names.push_back(choice.name);
  return listed(names, "or");
}

std::size_t read_choice(std::string_view option, std::string_view text, const std::vector<Choice>& choices) {
  const auto found = std::ranges::find(choices, text, &Choice::name);
  if (found == choices.end()) reject(option, one_of(choices), text);
  return static_cast<std::size_t>(found - choices.begin());
}

std::vector<std::string> split_words(std::string_view text) {
  std::vector<std::string> words;
  for (std::size_t begin = text.find_first_not_of(kBlanks); begin < text.size();) {
    const std::size_t end = std::min(text.find_first_of(kBlanks, begin), text.size());
    words.emplace_back(text.substr(begin, end - begin));
    begin = text.find_first_not_of(kBlanks, end);
  }
  return words;
}

std::string trim(std::string_view text) {
  const std::size_t begin = text.find_first_not_of(kBlanks);
  if (begin == std::string_view::npos) return {};
  return std::string(text.substr(begin, text.find_last_not_of(kBlanks) + 1 - begin));
}

}  // namespace train
