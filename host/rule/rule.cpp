// rule.cpp - onepass::Rule: presets and hyperparameters by name.
#include "onepass/rule/rule.hpp"

#include <algorithm>
#include <charconv>
#include <cstring>
#include <string>

#include "host/backend/rule_ops.hpp"
#include "host/check/sentence.hpp"
#include "onepass/error.hpp"

namespace onepass {
namespace {

template <class T>
T read(const std::byte* from) {
  T value;
  std::memcpy(&value, from, sizeof value);
  return value;
}

template <class T>
void write(std::byte* to, T value) {
  std::memcpy(to, &value, sizeof value);
}

[[noreturn]] void out_of_range(const RuleOps& ops, const Hyperparameter& one, const std::string& must,
                               const std::string& given) {
  throw InvalidArgument("onepass: " + std::string(ops.name) + "." + one.name + " must " + must + ", but is " +
                        given);
}

/// Throws InvalidArgument if the value is out of range.
void check_value(const RuleOps& ops, const Hyperparameter& one, double value) {
  switch (one.kind) {
    case Hyperparameter::Kind::number:
      return rule::require({ops.name, one.name}, one.range, value);
    case Hyperparameter::Kind::flag:
      if (value != 0.0 && value != 1.0) out_of_range(ops, one, "be 0 or 1", number(value));
      return;
    case Hyperparameter::Kind::choice:
      for (std::size_t i = 0; i < one.choices.size(); ++i) {
        if (value == static_cast<double>(i)) return;
      }
      out_of_range(ops, one, "be the index of one of " + listed(one.choices), number(value));
  }
}

/// Converts text(), without a check of the range.
double value_of(const RuleOps& ops, const Hyperparameter& one, std::string_view text) {
  if (one.kind == Hyperparameter::Kind::number) {
    double value = 0.0;
    const auto [end, error] = std::from_chars(text.data(), text.data() + text.size(), value);
    if (error == std::errc{} && end == text.data() + text.size()) return value;
    out_of_range(ops, one, "be a number", quoted(text));
  }
  if (one.kind == Hyperparameter::Kind::flag) {
    if (text == "true" || text == "1") return 1.0;
    if (text == "false" || text == "0") return 0.0;
    out_of_range(ops, one, "be true or false", quoted(text));
  }
  const auto found =
      std::ranges::find(one.choices, text, [](const char* name) { return std::string_view(name); });
  if (found == one.choices.end()) out_of_range(ops, one, "be one of " + listed(one.choices), quoted(text));
  return static_cast<double>(found - one.choices.begin());
}

}  // namespace

Rule Rule::named(std::string_view name) {
  const std::size_t dot = name.find('.');
  if (dot != std::string_view::npos) return named(name.substr(0, dot)).preset(name.substr(dot + 1));
  const std::span<const Rule> all = library_rules();
  const auto found = std::ranges::find(all, name, &Rule::name);
  if (found != all.end()) return *found;
  std::vector<std::string> names;
  for (const Rule& rule : all) names.emplace_back(rule.name());
  throw InvalidArgument("onepass: there is no rule " + quoted(name) + "; the rules are: " + listed(names));
}

std::string_view Rule::name() const { return ops_->name; }

std::span<const Preset> Rule::presets() const { return ops_->presets; }

Rule Rule::preset(std::string_view name) const {
  std::vector<std::string> names;
  for (const Preset& one : ops_->presets) {
    if (name == one.name) {
      Rule made = *this;
      static_cast<Memory&>(made) = one.values;
      return made;
    }
    names.emplace_back(one.name);
  }
  throw InvalidArgument("onepass: " + std::string(this->name()) + " has no preset " + quoted(name) +
                        "; it has " + (names.empty() ? "none" : "these: " + listed(names)));
}

std::span<const Hyperparameter> Rule::hyperparameters() const { return ops_->hyperparameters; }

bool Rule::has(std::string_view hyperparameter) const {
  return std::ranges::any_of(ops_->hyperparameters,
                             [&](const Hyperparameter& one) { return hyperparameter == one.name; });
}

const Hyperparameter& Rule::find(std::string_view hyperparameter) const {
  std::vector<std::string> names;
  for (const Hyperparameter& one : ops_->hyperparameters) {
    if (hyperparameter == one.name) return one;
    names.emplace_back(one.name);
  }
  throw InvalidArgument("onepass: " + std::string(name()) + " has no hyperparameter " +
                        quoted(hyperparameter) + "; it has: " + listed(names));
}

double Rule::get(std::string_view hyperparameter) const {
  const Hyperparameter& one = find(hyperparameter);
  const std::byte* const at = Memory::bytes + one.offset;
  switch (one.kind) {
    case Hyperparameter::Kind::number:
      return read<double>(at);
    case Hyperparameter::Kind::flag:
      return read<bool>(at) ? 1.0 : 0.0;
    default:
      return read<unsigned>(at);
  }
}

void Rule::set(std::string_view hyperparameter, double value) {
  const Hyperparameter& one = find(hyperparameter);
  check_value(*ops_, one, value);
  std::byte* const at = Memory::bytes + one.offset;
  switch (one.kind) {
    case Hyperparameter::Kind::number:
      return write(at, value);
    case Hyperparameter::Kind::flag:
      return write(at, value != 0.0);
    default:
      return write(at, static_cast<unsigned>(value));
  }
}

std::string Rule::text(std::string_view hyperparameter) const {
  const Hyperparameter& one = find(hyperparameter);
  const double value = get(hyperparameter);
  if (one.kind == Hyperparameter::Kind::number) return number(value);
  if (one.kind == Hyperparameter::Kind::flag) return value != 0.0 ? "true" : "false";
  const auto index = static_cast<std::size_t>(value);
  return index < one.choices.size() ? one.choices[index] : number(value);
}

void Rule::set_text(std::string_view hyperparameter, std::string_view text) {
  set(hyperparameter, value_of(*ops_, find(hyperparameter), text));
}

void Rule::check() const {
  for (const Hyperparameter& one : ops_->hyperparameters) check_value(*ops_, one, get(one.name));
  ops_->check(Memory::bytes);
  if (ops_->has_finite_coefficients(Memory::bytes, {.lr = lr})) return;
  throw InvalidArgument("onepass: " + std::string(name()) +
                        ": a coefficient that the hyperparameters give is "
                        "not finite in float32; lr is " +
                        number(lr));
}

std::span<const char* const> Rule::state_names() const {
  return ops_->variants[ops_->variant(Memory::bytes)].states;
}

void Rule::refuse_type(const char* asked) const {
  throw InvalidArgument("onepass: the rule is " + std::string(name()) + ", but " + asked + " was asked for");
}

bool operator==(const Rule& a, const Rule& b) {
  if (a.ops_ != b.ops_) return false;
  return std::ranges::all_of(a.ops_->hyperparameters,
                             [&](const Hyperparameter& one) { return a.get(one.name) == b.get(one.name); });
}

}  // namespace onepass
