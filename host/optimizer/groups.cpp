// groups.cpp - the functions of Optimizer that read and change the rules and schedules of groups.
#include "host/optimizer/groups.hpp"

#include <algorithm>
#include <cmath>
#include <cstring>
#include <string>
#include <utility>

#include "host/backend/shard.hpp"
#include "host/check/sentence.hpp"
#include "host/optimizer/optimizer.hpp"
#include "host/schedules/schedule_check.hpp"

namespace onepass {
namespace {

/// Checks the hyperparameters of a group. If there are several groups, the error also names the group.
void check_rule(const Rule& rule, std::size_t group, std::size_t group_count) {
  try {
    rule.check();
  } catch (const InvalidArgument& error) {
    if (group_count == 1) throw;
    throw InvalidArgument(std::string(error.what()) + " (group " + std::to_string(group) + ")");
  }
}

/// Returns the first state that `wanted` has and `present` does not, in quotes; "" if there is no such state.
std::string missing_state(const VariantOps& present, const VariantOps& wanted) {
  const auto missing = std::ranges::find_if(wanted.states, [&](const char* name) {
    return std::ranges::find(present.states, std::string_view(name)) == present.states.end();
  });
  return missing == wanted.states.end() ? "" : quoted(*missing);
}

void check_replacement(const Group& present, const Rule& changed, std::size_t group) {
  const RuleOps& ops = present.rule.ops();
  const std::string which = "group " + std::to_string(group) + ", which has the rule " + ops.name;
  if (&changed.ops() != &ops) refuse("the rule " + std::string(changed.name()) + " was given for " + which);
  if (ops.takes_sums(changed.bytes()) != present.takes_sums()) {
    refuse("caution may not become rescaled, or cease to be it, in " + which +
           ": its steps are made to take sums over tensors, or not to");
  }
  const unsigned wanted = ops.variant(changed.bytes());
  if (ops.runs_as(wanted, present.variant)) return;
  const VariantOps &before = present.variant_ops(), &after = ops.variants[wanted];
  const std::string added = missing_state(before, after);
  if (!added.empty()) {
    refuse("the new hyperparameters need the state " + added + ", which was not made for " + which);
  }
  refuse("the new hyperparameters leave out the state " + missing_state(after, before) +
         ", which was made for " + which);
}

}  // namespace

Groups::Groups(const std::vector<Rule>& rules) {
  if (rules.empty()) refuse("no rule was given");
  for (std::size_t group = 0; group < rules.size(); ++group) {
    const Rule& rule = rules[group];
    check_rule(rule, group, rules.size());
    const RuleOps* const ops = &rule.ops();
    const auto known = std::ranges::find(rule_types, ops);
    const auto type = static_cast<std::uint16_t>(known - rule_types.begin());
    if (known == rule_types.end()) rule_types.push_back(ops);
    all.push_back({.rule = rule, .variant = ops->variant(rule.bytes()), .rule_type = type});
    if (ops->matrix_bit == 0) add_state_names(all.back().variant_ops());
  }
}

void Groups::check_matrices(const Parameter& parameter) const {
  const RuleOps& ops = all[parameter.group].rule.ops();
  const bool is_shard = parameter.first != 0 || parameter.run != 0;
  if (ops.matrix_bit == 0 || !is_shard || parameter.shape.size() < 2) return;
  refuse(quoted(parameter.name) + " is a shard with " + Shard::of(parameter).text() + ", but " + ops.name +
         " takes sums over whole rows and columns; give it the whole tensor");
}

void Groups::add_state_names(const VariantOps& variant) {
  for (const char* name : variant.state_names) {
    const bool is_new = std::ranges::find(state_names, std::string_view(name)) == state_names.end();
    if (is_new) state_names.push_back(name);
  }
}

const Group& Groups::at(std::size_t group) const {
  if (group < all.size()) return all[group];
  refuse("there is no group " + std::to_string(group) + ", but only " + std::to_string(all.size()));
}

std::vector<Rule> Groups::rules() const {
  std::vector<Rule> rules;
  for (const Group& group : all) rules.push_back(group.rule);
  return rules;
}

void Groups::check_change(std::span<const Rule> changed) const {
  for (std::size_t group = 0; group < all.size(); ++group) {
    check_rule(changed[group], group, all.size());
    check_replacement(all[group], changed[group], group);
  }
}

std::size_t Groups::rule_bytes() const {
  return (*std::ranges::max_element(rule_types, {}, &RuleOps::rule_bytes))->rule_bytes;
}

std::size_t Groups::coefficient_bytes() const {
  return (*std::ranges::max_element(rule_types, {}, &RuleOps::coefficient_bytes))->coefficient_bytes;
}

std::vector<std::byte> Groups::bytes_of(std::span<const Rule> rules) const {
  const std::size_t each = rule_bytes();
  std::vector<std::byte> bytes(rules.size() * each);
  for (std::size_t group = 0; group < rules.size(); ++group) {
    std::memcpy(bytes.data() + group * each, rules[group].bytes(), rules[group].ops().rule_bytes);
  }
  return bytes;
}

// The terms of float32 parameters fit into an ExactSum if no coefficient is above 2^4. The exponent is a
// multiple of the 32 bits of a limb, so that it moves whole limbs and changes no bit of the sum.
ScaledPenalties ScaledPenalties::of(std::span<const Rule> rules) {
  constexpr int kLimb = 32, kFits = 4;
  ScaledPenalties scaled{{}, 0};
  double largest = 0.0;
  for (const Rule& rule : rules) {
    scaled.of_groups.push_back(rule.ops().penalty(rule.bytes()));
    largest = std::max({largest, scaled.of_groups.back().half_l2, scaled.of_groups.back().l1});
  }
  if (largest == 0.0) return scaled;
  const int excess = std::ilogb(largest) + 1 - kFits;
  scaled.exponent = (excess > 0 ? (excess + kLimb - 1) / kLimb : excess / kLimb) * kLimb;
  for (step::Penalty& penalty : scaled.of_groups) {
    penalty.half_l2 = std::ldexp(penalty.half_l2, -scaled.exponent);
    penalty.l1 = std::ldexp(penalty.l1, -scaled.exponent);
  }
  return scaled;
}

ScheduleMemory ScheduleMemory::allocate(Device device, const Schedule& schedule) {
  if (schedule == Schedule{}) return {};
  const std::span<const schedule::Segment> segments = schedule.segments();
  const std::span<const double> numbers = schedule.numbers();
  ScheduleMemory memory{DeviceBuffer(device, segments.size_bytes() + numbers.size_bytes()), {}};
  std::byte* const base = memory.allocation.as<std::byte>();
  copy({device, base}, {Device::cpu(), segments.data()}, segments.size_bytes());
  copy({device, base + segments.size_bytes()}, {Device::cpu(), numbers.data()}, numbers.size_bytes());
  memory.view = {reinterpret_cast<const schedule::Segment*>(base), static_cast<std::int64_t>(segments.size()),
                 reinterpret_cast<const double*>(base + segments.size_bytes())};
  return memory;
}

std::size_t Optimizer::group_count() const { return impl_->groups.count(); }

const Rule& Optimizer::rule(std::size_t group) const { return impl_->groups.at(group).rule; }

void Optimizer::Impl::write_rules(const std::vector<Rule>& changed, Stream stream) {
  const step::Table& table = table_memory.view();
  const std::vector<std::byte> bytes = groups.bytes_of(changed);
  const std::vector<step::Penalty> penalties = ScaledPenalties::of(changed).of_groups;
  backend->write(const_cast<void*>(table.rules), bytes, stream);
  backend->write(const_cast<step::Penalty*>(table.penalties), std::as_bytes(std::span(penalties)), stream);
  for (std::size_t group = 0; group < changed.size(); ++group) groups.all[group].rule = changed[group];
}

void Optimizer::set_lr(double lr, Stream stream) {
  std::vector<Rule> changed = impl_->groups.rules();
  for (Rule& rule : changed) rule.set("lr", lr);
  impl_->check_rules(changed);
  impl_->write_rules(changed, stream);
}

void Optimizer::set_lr(double lr, std::size_t group, Stream stream) {
  Rule changed = rule(group);
  changed.set("lr", lr);
  set_rule(changed, group, stream);
}

void Optimizer::set_rule(const Rule& rule, std::size_t group, Stream stream) {
  std::vector<Rule> changed = impl_->groups.rules();
  static_cast<void>(impl_->groups.at(group));
  changed[group] = rule;
  impl_->check_rules(changed);
  impl_->write_rules(changed, stream);
}

namespace {

void check_momentum(const Schedule& schedule, const Rule& rule, unsigned variant, std::size_t group) {
  if (!schedule.drives_momentum()) return;
  const RuleOps& ops = rule.ops();
  const std::optional<unsigned> wanted = ops.driven_variant(rule.bytes());
  if (!wanted) {
    refuse("the schedule drives a momentum, which the rule " + std::string(ops.name) +
           " does not have; set cycle_momentum = false");
  }
  if (!ops.runs_as(*wanted, variant)) {
    refuse("the schedule drives a momentum, but group " + std::to_string(group) +
           " was made without the state for it; make it with a momentum above 0, or set cycle_momentum = "
           "false");
  }
}

}  // namespace

void check_schedule(const Schedule& schedule, const Rule& rule, unsigned variant, std::size_t group) {
  check_momentum(schedule, rule, variant, group);
  for (const std::int64_t step : schedule::turning_steps(schedule)) {
    const Rates rates = schedule.rates(rule.lr, step);
    if (rule.ops().has_finite_coefficients(rule.bytes(), rates)) continue;
    refuse("the schedule of group " + std::to_string(group) + " sets a learning rate of " + number(rates.lr) +
           " at step " + std::to_string(step) + ", with which a coefficient of the rule " +
           std::string(rule.name()) + " is not finite in float32");
  }
}

namespace {

/// Largest decay of an average in 8 bits. A code's noise adds up over 1 / sqrt(1 - decay^2) steps: at these
/// decays to a tenth of a signed number of its block's mean size, and to a thirtieth of a square.
/// docs/storage.md has the measurements.
constexpr double kMostDecay = 0.99, kMostDecayOfSquares = 0.999;

/// Returns the number of the first state of a variant that would be too long an average in 8 bits.
std::optional<std::size_t> too_long(const Rule& rule, const VariantOps& variant) {
  for (std::size_t s = 0; s < variant.decays.size(); ++s) {
    if (variant.decays[s] == nullptr || variant.is_float32(s)) continue;
    const double most = variant.is_nonnegative(s) ? kMostDecayOfSquares : kMostDecay;
    if (rule.get(variant.decays[s]) > most) return s;
  }
  return std::nullopt;
}

}  // namespace

void Optimizer::Impl::check_averages(const std::vector<Rule>& rules,
                                     std::span<const Parameter> parameters) const {
  for (const Parameter& parameter : parameters) {
    if (storage.of(parameter).states != States::quantized8) continue;
    const Rule& rule = rules[parameter.group];
    const VariantOps& variant = groups.all[parameter.group].variant_of(parameter);
    const std::optional<std::size_t> state = too_long(rule, variant);
    if (!state) continue;
    const std::string decay = variant.decays[*state];
    refuse(quoted(parameter.name) + " asks for states in 8 bits, which hold " + variant.states[*state] +
           " up to " + decay + " = " +
           number(variant.is_nonnegative(*state) ? kMostDecayOfSquares : kMostDecay) + ", but " +
           std::string(rule.name()) + " has " + decay + " = " + number(rule.get(decay)) +
           "; states in bfloat16 with Rounding::stochastic, or in float32, hold longer averages");
  }
}

void Optimizer::Impl::check_rules(const std::vector<Rule>& changed) const {
  groups.check_change(changed);
  check_averages(changed, roster.parameters);
  for (std::size_t group = 0; group < changed.size(); ++group) {
    const Group& present = groups.all[group];
    check_schedule(present.schedule, changed[group], present.variant, group);
  }
}

void Optimizer::Impl::set_schedule(const Schedule& schedule, std::size_t group) {
  ScheduleMemory memory = ScheduleMemory::allocate(device, schedule);
  backend->wait();
  auto* const views = const_cast<schedule::View*>(table_memory.view().schedules);
  copy({device, views + group}, {Device::cpu(), &memory.view}, sizeof memory.view);
  groups.all[group].schedule_memory = std::move(memory);
  groups.all[group].schedule = schedule;
}

void Optimizer::set_schedule(const Schedule& schedule) {
  for (std::size_t group = 0; group < group_count(); ++group) {
    check_schedule(schedule, rule(group), impl_->groups.all[group].variant, group);
  }
  for (std::size_t group = 0; group < group_count(); ++group) impl_->set_schedule(schedule, group);
}

void Optimizer::set_schedule(const Schedule& schedule, std::size_t group) {
  const Group& driven = impl_->groups.at(group);
  check_schedule(schedule, driven.rule, driven.variant, group);
  impl_->set_schedule(schedule, group);
}

const Schedule& Optimizer::schedule(std::size_t group) const { return impl_->groups.at(group).schedule; }

double Optimizer::lr(std::size_t group, Stream stream) const {
  const Group& asked = impl_->groups.at(group);
  return asked.schedule.lr(asked.rule.lr, steps(stream));
}

}  // namespace onepass
