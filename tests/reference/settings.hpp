// settings.hpp - the hyperparameters of a rule by name, from which a reference is made.
#pragma once

#include <algorithm>
#include <cstddef>
#include <functional>
#include <initializer_list>
#include <map>
#include <set>
#include <stdexcept>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

namespace reference {

/// The value of a hyperparameter: a number, a flag (0 or 1), or the name of a choice.
struct Value {
  double number = 0.0;
  std::string choice;  ///< Empty for numbers and flags.

  Value(double number) : number(number) {}                  // NOLINT: implicit
  Value(const char* choice) : choice(choice) {}             // NOLINT: implicit
  Value(std::string choice) : choice(std::move(choice)) {}  // NOLINT: implicit
  [[nodiscard]] bool is_number() const { return choice.empty(); }
};

/// Hyperparameters by name, such as {{"lr", 0.01}, {"nesterov", true}, {"epsilon", "outside_root"}}.
/// Remembers which of them were read, so that a test can ask whether a reference forgets one.
class Settings {
 public:
  Settings() = default;
  Settings(std::initializer_list<std::pair<const std::string, Value>> values) : values_(values) {}

  void set(std::string_view name, const Value& value) { values_.insert_or_assign(std::string(name), value); }
  /// Returns a copy with one more or another value.
  [[nodiscard]] Settings with(std::string_view name, const Value& value) const {
    Settings settings = *this;
    settings.set(name, value);
    return settings;
  }
  [[nodiscard]] const std::map<std::string, Value, std::less<>>& values() const { return values_; }

  /// Returns whether there is a value of this name.
  [[nodiscard]] bool has(std::string_view name) const { return values_.contains(name); }

  /// Returns a number. Throws std::invalid_argument if there is no number of this name.
  [[nodiscard]] double number(std::string_view name) const {
    const Value& value = find(name);
    if (!value.is_number()) refuse(name, "is \"" + value.choice + "\", not a number");
    return value.number;
  }

  /// Returns a flag. Throws std::invalid_argument if there is no number of this name, or it is not 0 or 1.
  [[nodiscard]] bool flag(std::string_view name) const {
    const double value = number(name);
    if (value != 0.0 && value != 1.0) refuse(name, "is neither 0 nor 1");
    return value != 0.0;
  }

  /// Returns the index of a choice in `choices`. Throws std::invalid_argument if it is not among them.
  [[nodiscard]] std::size_t choice(std::string_view name,
                                   std::initializer_list<std::string_view> choices) const {
    const std::string& value = find(name).choice;
    const auto* const found = std::find(choices.begin(), choices.end(), value);
    if (found == choices.end()) refuse(name, "is \"" + value + "\", which the reference does not know");
    return static_cast<std::size_t>(found - choices.begin());
  }

  /// Names of the values that were never read.
  [[nodiscard]] std::vector<std::string> unread() const {
    std::vector<std::string> names;
    for (const auto& [name, value] : values_) {
      if (!read_.contains(name)) names.push_back(name);
    }
    return names;
  }

 private:
  [[nodiscard]] const Value& find(std::string_view name) const {
    const auto found = values_.find(name);
    if (found == values_.end()) refuse(name, "does not exist");
    read_.emplace(name);
    return found->second;
  }
  [[noreturn]] static void refuse(std::string_view name, const std::string& problem) {
    throw std::invalid_argument("reference: the hyperparameter " + std::string(name) + " " + problem);
  }

  std::map<std::string, Value, std::less<>> values_;
  mutable std::set<std::string, std::less<>> read_;
};

/// Named hyperparameters with which the tests run a rule. The others keep the rule's defaults.
struct Option {
  std::string name;  ///< "momentum"
  Settings settings;
};

}  // namespace reference
