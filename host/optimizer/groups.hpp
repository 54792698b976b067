// groups.hpp - the parameter groups of an optimizer: the rule and the schedule of each.
#pragma once

#include <algorithm>
#include <cstddef>
#include <cstdint>
#include <span>
#include <vector>

#include "host/backend/axis_plan.hpp"
#include "host/backend/rule_ops.hpp"
#include "onepass/device.hpp"
#include "onepass/parameter.hpp"
#include "onepass/rule/rule.hpp"
#include "onepass/schedules/schedule.hpp"

namespace onepass {

/// A schedule in the memory of the device, where a step reads it.
struct ScheduleMemory {
  DeviceBuffer allocation;
  schedule::View view{};

  /// Allocates and writes, and waits until it is written. Allocates nothing for the default Schedule{}.
  static ScheduleMemory allocate(Device device, const Schedule& schedule);
};

/// A parameter group. Its type of rule and its variant stay those that the optimizer was made with.
struct Group {
  Rule rule;
  unsigned variant;         ///< For vectors.
  std::uint16_t rule_type;  ///< Index in Groups::rule_types.
  Schedule schedule = {};
  ScheduleMemory schedule_memory = {};

  [[nodiscard]] const VariantOps& variant_ops() const { return rule.ops().variants[variant]; }
  /// The variant that updates matrices; that of vectors if the rule makes no difference.
  [[nodiscard]] const VariantOps& matrix_ops() const {
    return rule.ops().variants[variant | rule.ops().matrix_bit];
  }
  [[nodiscard]] const VariantOps& variant_of(const Parameter& parameter) const {
    return matrices_of(parameter).count != 0 ? matrix_ops() : variant_ops();
  }
  /// Returns whether steps take sums over tensors.
  [[nodiscard]] bool takes_sums() const { return rule.ops().takes_sums(rule.bytes()); }
};

/// All groups of an optimizer.
struct Groups {
  std::vector<Group> all;
  std::vector<const RuleOps*> rule_types;  ///< In the order in which groups first have them.
  /// The names of all groups' states, each once. Where the shape of a parameter decides, those of parameters
  /// that have joined.
  std::vector<const char*> state_names;

  /// Throws InvalidArgument if there is no rule, or a hyperparameter is out of range.
  explicit Groups(const std::vector<Rule>& rules);

  [[nodiscard]] std::size_t count() const { return all.size(); }
  /// Returns whether any rule keeps numbers for rows and columns.
  [[nodiscard]] bool has_axes() const {
    return std::ranges::any_of(rule_types, [](const RuleOps* ops) { return ops->matrix_bit != 0; });
  }
  /// Refuses a shard of matrices whose rule keeps numbers for rows and columns.
  void check_matrices(const Parameter& parameter) const;
  /// Returns whether any rule takes sums over tensors.
  [[nodiscard]] bool takes_sums() const { return std::ranges::any_of(all, &Group::takes_sums); }
  /// Returns whether any rule of the type does.
  [[nodiscard]] bool takes_sums(std::uint32_t rule_type) const {
    return std::ranges::any_of(
        all, [&](const Group& group) { return group.rule_type == rule_type && group.takes_sums(); });
  }
  /// Returns the rule that sums over the model, or null.
  [[nodiscard]] const RuleOps* summing_over_model() const {
    const auto found = std::ranges::find_if(rule_types, &RuleOps::sums_over_model);
    return found == rule_types.end() ? nullptr : *found;
  }
  /// Returns how many sums a table of `tensors` tensors has room for.
  [[nodiscard]] std::size_t sum_count(std::size_t tensors) const {
    if (!takes_sums()) return 0;
    return tensors + (summing_over_model() != nullptr ? rule_types.size() : 0);
  }
  /// Returns a group. Throws InvalidArgument if there is none with this number.
  [[nodiscard]] const Group& at(std::size_t group) const;
  [[nodiscard]] std::vector<Rule> rules() const;
  /// Throws InvalidArgument unless the rules, one for each group, may replace the present ones.
  void check_change(std::span<const Rule> changed) const;

  /// Sizes of one rule and of the coefficients of one tensor in the table: room for the largest.
  [[nodiscard]] std::size_t rule_bytes() const;
  [[nodiscard]] std::size_t coefficient_bytes() const;
  /// Returns the bytes of the rules as the table has them.
  [[nodiscard]] std::vector<std::byte> bytes_of(std::span<const Rule> rules) const;
  /// Adds the names of a variant's states.
  void add_state_names(const VariantOps& variant);
};

/// Throws InvalidArgument if the schedule may not drive a rule that runs as the variant: it drives a momentum
/// that there is no state for, or sets rates with which a coefficient of the rule is not finite.
void check_schedule(const Schedule& schedule, const Rule& rule, unsigned variant, std::size_t group);

/// The penalties of all groups, divided by a power of two, so that the fixed-point sum of a reduction holds
/// them whatever their coefficients are.
struct ScaledPenalties {
  std::vector<step::Penalty> of_groups;  ///< As the table has them.
  int exponent;                          ///< They are divided by 2^exponent.

  static ScaledPenalties of(std::span<const Rule> rules);
};

}  // namespace onepass
