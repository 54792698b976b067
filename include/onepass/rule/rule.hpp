// rule.hpp - a rule of any type, as one value.
#pragma once

#include <cstddef>
#include <cstring>
#include <initializer_list>
#include <span>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "onepass/rule/concept.hpp"

namespace onepass {

/// The functions through which the library uses a rule. The CMake function onepass_add_rule() generates them,
/// for the library's own rules and for yours.
struct RuleOps;
/// Returns the generated functions of a rule.
template <class R>
const RuleOps& rule_ops();  // defined in generated files only: host/rule/rule.cpp.in

namespace rule {

/// The bytes of a rule struct, whose first member is always its learning rate.
struct Memory {
  static constexpr std::size_t kMostBytes = 256;
  union {
    alignas(double) std::byte bytes[kMostBytes];
    double lr;
  };
  Memory() : bytes{} {}
};

}  // namespace rule

/// A preset of a rule: the settings of another implementation of it. A rule lists its presets once, in
/// presets(). Rule::named(), the C interface, Python, the trainer and docs/rules.md take them from that list.
struct Preset {
  const char* name;     ///< "apex"
  const char* meaning;  ///< One sentence or more: whose settings they are, and what they leave out.
  rule::Memory values;  ///< The bytes of the rule with these settings; Rule::preset() returns it.
};

/// A rule of any type with its hyperparameters. Every rule struct converts to it:
///
///     Rule rule = AdamW{.lr = 3e-4};
///     rule.set("beta2", 0.95);
///     rule.as<AdamW>().beta2;   // 0.95
///     rule.lr;                  // 3e-4: every rule has a learning rate
///
/// Hyperparameters have the names of their members; hyperparameters() lists them. Copying copies the values.
class Rule : rule::Memory {
 public:
  using Memory::kMostBytes;  ///< Most bytes that a rule may have.
  using Memory::lr;          ///< Learning rate.

  /// Copies a rule struct. Checks nothing; check() does.
  template <ElementwiseRule R>
  Rule(const R& rule) : ops_(&rule_ops<R>()) {  // NOLINT: implicit
    static_assert(sizeof(R) <= kMostBytes && alignof(R) <= alignof(double));
    std::memcpy(Memory::bytes, &rule, sizeof rule);
  }

  /// Returns the library's rule of this name, such as "AdamW", with its default hyperparameters, or with
  /// those of a preset: "LAMB.apex". Throws InvalidArgument, which lists the names, if there is no such rule
  /// or it has no such preset.
  [[nodiscard]] static Rule named(std::string_view name);

  /// Returns the name of the rule: "AdamW".
  [[nodiscard]] std::string_view name() const;
  /// Returns whether the rule is an R.
  template <ElementwiseRule R>
  [[nodiscard]] bool is() const {
    return ops_ == &rule_ops<R>();
  }
  /// Returns the rule as an R. Throws InvalidArgument if it is another rule.
  template <ElementwiseRule R>
  [[nodiscard]] const R& as() const {
    if (!is<R>()) refuse_type(R::kName);
    return *reinterpret_cast<const R*>(Memory::bytes);
  }

  /// Returns the presets of the rule, in its own order. Most rules have none.
  [[nodiscard]] std::span<const Preset> presets() const;
  /// Returns a rule of the same type with the settings of a preset: "apex". Throws InvalidArgument, which
  /// lists the names, if the rule has no such preset.
  [[nodiscard]] Rule preset(std::string_view name) const;

  /// Returns the list of the rule's hyperparameters, lr first.
  [[nodiscard]] std::span<const Hyperparameter> hyperparameters() const;
  /// Returns whether the rule has a hyperparameter of this name.
  [[nodiscard]] bool has(std::string_view hyperparameter) const;
  /// Returns the value of a hyperparameter: a flag is 0 or 1, a choice the index of its name. Throws
  /// InvalidArgument, which lists the names, if the rule has no such hyperparameter.
  [[nodiscard]] double get(std::string_view hyperparameter) const;
  /// Sets a hyperparameter. Throws InvalidArgument, and changes nothing, if the rule has none of this name,
  /// or the value is out of its range.
  void set(std::string_view hyperparameter, double value);
  /// Returns the value as text: "0.95" (the shortest text that reads back as the same double), "true",
  /// "decoupled". Throws as get().
  [[nodiscard]] std::string text(std::string_view hyperparameter) const;
  /// Sets a hyperparameter from its text(). Throws as set().
  void set_text(std::string_view hyperparameter, std::string_view text);

  /// Throws InvalidArgument if a hyperparameter is out of range, some contradict each other, or a coefficient
  /// of the steps, such as lr / (1 - beta1^t), is not finite in float32.
  void check() const;
  /// Returns PyTorch's names of the states that an optimizer keeps for each parameter with this rule.
  [[nodiscard]] std::span<const char* const> state_names() const;

  /// Returns whether both are rules of one type with equal hyperparameters.
  friend bool operator==(const Rule& a, const Rule& b);

  [[nodiscard]] const RuleOps& ops() const { return *ops_; }
  [[nodiscard]] const std::byte* bytes() const { return Memory::bytes; }

 private:
  [[nodiscard]] const Hyperparameter& find(std::string_view hyperparameter) const;
  [[noreturn]] void refuse_type(const char* asked) const;

  const RuleOps* ops_;
};

/// The rules of the library with their default hyperparameters, in the order in which CMakeLists.txt adds
/// them.
[[nodiscard]] std::span<const Rule> library_rules();

/// One rule for each parameter group: the first argument of Optimizer. Converts from a rule, a list of rules
/// of any types, a vector of one rule type, and a vector of Rule.
class Rules {
 public:
  template <ElementwiseRule R>
  Rules(const R& rule) : rules_{Rule(rule)} {}                  // NOLINT: implicit
  Rules(const Rule& rule) : rules_{rule} {}                     // NOLINT: implicit
  Rules(std::initializer_list<Rule> rules) : rules_(rules) {}   // NOLINT: implicit
  Rules(std::vector<Rule> rules) : rules_(std::move(rules)) {}  // NOLINT: implicit
  template <ElementwiseRule R>
  Rules(const std::vector<R>& rules) : rules_(rules.begin(), rules.end()) {}  // NOLINT: implicit

  [[nodiscard]] const std::vector<Rule>& all() const { return rules_; }

 private:
  std::vector<Rule> rules_;
};

}  // namespace onepass
