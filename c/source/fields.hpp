// fields.hpp - sets the members of schedules and initializers by name. Rules list their own members
// (onepass/rule/hyperparameter.hpp); these structs have no such list, so the C interface has one for them.
#pragma once

#include <charconv>
#include <cmath>
#include <functional>
#include <initializer_list>
#include <optional>
#include <string>
#include <string_view>
#include <type_traits>
#include <vector>

#include "c/source/guard.hpp"

namespace onepass::c {

/// One member that a setting can name.
struct Field {
  std::string_view name;
  std::function<void(const onepass_setting&, const std::string& who)> set;
};
using Fields = std::vector<Field>;

/// "onepass: StepLR.gamma must be a number, but is \"much\""
[[noreturn]] inline void refuse_value(const std::string& who, const onepass_setting& setting,
                                      std::string_view must) {
  std::string value = "\"";
  if (setting.text != nullptr) {
    value += setting.text;
    value += '"';
  } else {
    char digits[32];
    value.assign(digits, std::to_chars(digits, digits + sizeof digits, setting.value).ptr);
  }
  refuse(who + " must be " + std::string(must) + ", but is " + value);
}

/// Returns the number of a setting. A text must be a number from its first to its last character.
inline double number_of(const onepass_setting& setting, const std::string& who) {
  if (setting.text == nullptr) return setting.value;
  const std::string_view text = setting.text;
  double value = 0.0;
  const auto [end, error] = std::from_chars(text.data(), text.data() + text.size(), value);
  if (error != std::errc{} || end != text.data() + text.size()) refuse_value(who, setting, "a number");
  return value;
}

inline Field field(std::string_view name, double& member) {
  return {name, [&member](const onepass_setting& setting, const std::string& who) {
            member = number_of(setting, who);
          }};
}

inline Field field(std::string_view name, std::int64_t& member) {
  return {name, [&member](const onepass_setting& setting, const std::string& who) {
            const double value = number_of(setting, who);
            if (!(std::abs(value) <= 0x1p53) || value != std::trunc(value)) {
              refuse_value(who, setting, "a whole number");
            }
            member = static_cast<std::int64_t>(value);
          }};
}

inline Field field(std::string_view name, std::optional<std::int64_t>& member) {
  return {name, [&member](const onepass_setting& setting, const std::string& who) {
            std::int64_t value = 0;
            field("", value).set(setting, who);
            member = value;
          }};
}

inline Field field(std::string_view name, bool& member) {
  return {name, [&member](const onepass_setting& setting, const std::string& who) {
            const std::string_view text = setting.text != nullptr ? setting.text : "";
            const bool is_true = setting.text != nullptr ? text == "true" : setting.value == 1.0;
            const bool is_false = setting.text != nullptr ? text == "false" : setting.value == 0.0;
            if (!is_true && !is_false) refuse_value(who, setting, "0 or 1");
            member = is_true;
          }};
}

/// A member of an enumeration, whose enumerators count from 0 and have these names.
template <class Enum>
requires std::is_enum_v<Enum> Field field(std::string_view name, Enum& member,
                                          std::initializer_list<const char*> names) {
  const std::vector<std::string> choices(names.begin(), names.end());
  return {name, [&member, choices](const onepass_setting& setting, const std::string& who) {
            std::string listed;
            for (std::size_t i = 0; i < choices.size(); ++i) {
              const bool fits = setting.text != nullptr ? choices[i] == setting.text
                                                        : setting.value == static_cast<double>(i);
              if (fits) {
                member = static_cast<Enum>(i);
                return;
              }
              listed += (i == 0 ? "" : ", ") + choices[i];
            }
            refuse_value(who, setting, "one of " + listed);
          }};
}

/// Sets the members that the settings name, of a struct of the type `type`.
inline void set_fields(const Fields& fields, std::string_view type,
                       std::span<const onepass_setting> settings) {
  for (const onepass_setting& setting : settings) {
    require(setting.name, "the name of a setting");
    const Field* found = nullptr;
    std::string names;
    for (const Field& one : fields) {
      if (one.name == setting.name) found = &one;
      names += (names.empty() ? "" : ", ") + std::string(one.name);
    }
    if (found == nullptr) {
      refuse(std::string(type) + " has no member \"" + setting.name +
             (names.empty() ? "\"; it has none" : "\"; it has: " + names));
    }
    found->set(setting, std::string(type) + "." + setting.name);
  }
}

/// One struct that can be made by name: sets its members as the settings say, and converts it to Made.
template <class Made>
struct Named {
  std::string_view name;
  std::function<Made(std::span<const onepass_setting>)> make;
};

/// `fields_of(S&)` returns the members of an S.
template <class Made, class S, class FieldsOf>
Named<Made> named(std::string_view name, const FieldsOf& fields_of) {
  return {name, [name, fields_of](std::span<const onepass_setting> settings) {
            S one{};
            set_fields(fields_of(one), name, settings);
            return Made(one);
          }};
}

/// Makes the struct of this name. `kind` is what it is: "schedule".
template <class Made>
Made make_named(const std::vector<Named<Made>>& list, std::string_view kind, const char* name,
                std::span<const onepass_setting> settings) {
  const std::string kind_name(kind);
  require(name, ("the name of the " + kind_name).c_str());
  std::string names;
  for (const Named<Made>& one : list) {
    if (one.name == name) return one.make(settings);
    names += (names.empty() ? "" : ", ") + std::string(one.name);
  }
  refuse("there is no " + kind_name + " \"" + name + "\"; there are: " + names);
}

}  // namespace onepass::c
