// schedule_check.cpp - the check() functions of all schedules.
#include "host/schedules/schedule_check.hpp"

#include <algorithm>
#include <cmath>
#include <string>

#include "host/check/sentence.hpp"
#include "onepass/schedules/evaluate.hpp"
#include "onepass/schedules/exponential_lr.hpp"
#include "onepass/schedules/warm_up.hpp"

namespace onepass {
namespace schedule {
namespace {

/// Largest number of steps of a LambdaLR.
constexpr std::int64_t kMostTabulated = std::int64_t{1} << 26;

[[noreturn]] void out_of_range(rule::Named which, const std::string& value, const std::string& range) {
  throw InvalidArgument("onepass: " + std::string(which.rule) + "." + which.hyperparameter + " must " +
                        range + ", but is " + value);
}

void check_momentums(const char* schedule, double base, double most) {
  rule::require_unit_interval({schedule, "base_momentum"}, base);
  rule::require_unit_interval({schedule, "max_momentum"}, most);
}

}  // namespace

void require_steps(rule::Named which, std::int64_t value, std::int64_t least) {
  if (value >= least && value <= kMostSteps) return;
  out_of_range(which, std::to_string(value),
               "be a number of steps from " + std::to_string(least) + " to 2^53");
}

void require_share(rule::Named which, double value) {
  if (!(value >= 0.0 && value <= 1.0)) out_of_range(which, number(value), "lie in [0, 1]");
}

void require_positive(rule::Named which, double value) {
  rule::require_nonnegative(which, value);
  if (value == 0.0) out_of_range(which, number(value), "be above 0");
}

void require_choice(rule::Named which, std::int64_t value, std::int64_t count) {
  if (value < 0 || value >= count) {
    out_of_range(which, "number " + std::to_string(value), "be one of its enumerators");
  }
}

void check_milestones(const char* schedule, std::span<const std::int64_t> milestones) {
  for (std::size_t i = 0; i < milestones.size(); ++i) {
    require_steps({schedule, "milestones"}, milestones[i], 0);
    if (i > 0 && milestones[i] < milestones[i - 1]) {
      throw InvalidArgument("onepass: " + std::string(schedule) + ".milestones must be sorted, but " +
                            std::to_string(milestones[i]) + " comes after " +
                            std::to_string(milestones[i - 1]));
    }
  }
}

void check_table(std::span<const double> table) {
  for (std::size_t step = 0; step < table.size(); ++step) {
    if (std::isfinite(static_cast<float>(table[step])) && table[step] >= 0.0) continue;
    throw InvalidArgument(
        "onepass: LambdaLR.lr_lambda must give a factor of at least 0 and finite in float32, "
        "but at step " +
        std::to_string(step) + " gives " + number(table[step]));
  }
}

std::vector<std::int64_t> turning_steps(const Schedule& schedule) {
  std::vector<std::int64_t> steps;
  const std::span<const Segment> segments = schedule.segments();
  for (std::size_t i = 0; i < segments.size(); ++i) {
    const Segment& segment = segments[i];
    const bool ends = i + 1 < segments.size() && segments[i + 1].stage == segment.stage;
    const std::int64_t last = ends ? segments[i + 1].begin - 1 : kMostSteps;
    const auto add = [&](std::int64_t step) { steps.push_back(std::clamp(step, segment.begin, last)); };
    add(segment.begin);
    if (ends) add(last);
    for (const double parameter : segment.parameters) {
      if (whole(parameter) < 1) continue;
      add(segment.begin + whole(parameter) - 1);
      add(segment.begin + whole(parameter));
    }
    const auto numbers = schedule.numbers().subspan(static_cast<std::size_t>(segment.first_number),
                                                    static_cast<std::size_t>(segment.number_count));
    if (segment.kind == Kind::table)
      add(segment.begin + (std::ranges::max_element(numbers) - numbers.begin()));
    if (segment.kind != Kind::multi_step) continue;
    for (const double milestone : numbers) add(segment.begin + whole(milestone));
  }
  return steps;
}

}  // namespace schedule

using schedule::require_choice;
using schedule::require_positive;
using schedule::require_share;
using schedule::require_steps;

void StepLR::check() const {
  require_steps({"StepLR", "step_size"}, step_size, 1);
  rule::require_nonnegative({"StepLR", "gamma"}, gamma);
}

void ExponentialLR::check() const { rule::require_nonnegative({"ExponentialLR", "gamma"}, gamma); }

void MultiStepLR::check() const {
  schedule::check_milestones("MultiStepLR", milestones);
  rule::require_nonnegative({"MultiStepLR", "gamma"}, gamma);
}

void ConstantLR::check() const {
  require_share({"ConstantLR", "factor"}, factor);
  require_steps({"ConstantLR", "total_iters"}, total_iters, 0);
}

void LinearLR::check() const {
  require_share({"LinearLR", "start_factor"}, start_factor);
  require_share({"LinearLR", "end_factor"}, end_factor);
  require_steps({"LinearLR", "total_iters"}, total_iters, 0);
}

void WarmUp::check() const {
  require_steps({"WarmUp", "steps"}, steps, 0);
  require_share({"WarmUp", "start_factor"}, start_factor);
}

void PolynomialLR::check() const {
  require_steps({"PolynomialLR", "total_iters"}, total_iters, 1);
  rule::require_nonnegative({"PolynomialLR", "power"}, power);
}

void CosineAnnealingLR::check() const {
  require_steps({"CosineAnnealingLR", "T_max"}, T_max, 1);
  rule::require_nonnegative({"CosineAnnealingLR", "eta_min"}, eta_min);
}

void CosineAnnealingWarmRestarts::check() const {
  require_steps({"CosineAnnealingWarmRestarts", "T_0"}, T_0, 1);
  require_steps({"CosineAnnealingWarmRestarts", "T_mult"}, T_mult, 1);
  rule::require_nonnegative({"CosineAnnealingWarmRestarts", "eta_min"}, eta_min);
}

void OneCycleLR::check() const {
  rule::require_nonnegative({"OneCycleLR", "max_lr"}, max_lr);
  require_steps({"OneCycleLR", "total_steps"}, total_steps, 1);
  require_share({"OneCycleLR", "pct_start"}, pct_start);
  require_choice({"OneCycleLR", "anneal_strategy"}, static_cast<std::int64_t>(anneal_strategy), 2);
  schedule::check_momentums("OneCycleLR", base_momentum, max_momentum);
  require_positive({"OneCycleLR", "div_factor"}, div_factor);
  require_positive({"OneCycleLR", "final_div_factor"}, final_div_factor);
  const double initial = max_lr / div_factor;
  rule::require_nonnegative({"OneCycleLR", "max_lr / div_factor"}, initial);
  rule::require_nonnegative({"OneCycleLR", "max_lr / div_factor / final_div_factor"},
                            initial / final_div_factor);
}

void CyclicLR::check() const {
  rule::require_nonnegative({"CyclicLR", "base_lr"}, base_lr);
  rule::require_nonnegative({"CyclicLR", "max_lr"}, max_lr);
  require_steps({"CyclicLR", "step_size_up"}, step_size_up, 1);
  if (step_size_down) require_steps({"CyclicLR", "step_size_down"}, *step_size_down, 1);
  require_choice({"CyclicLR", "mode"}, static_cast<std::int64_t>(mode), 3);
  require_share({"CyclicLR", "gamma"}, gamma);
  schedule::check_momentums("CyclicLR", base_momentum, max_momentum);
}

void WarmupStableDecay::check() const {
  require_steps({"WarmupStableDecay", "warmup_steps"}, warmup_steps, 0);
  require_steps({"WarmupStableDecay", "stable_steps"}, stable_steps, 0);
  require_steps({"WarmupStableDecay", "decay_steps"}, decay_steps, 1);
  require_share({"WarmupStableDecay", "start_factor"}, start_factor);
  require_share({"WarmupStableDecay", "end_factor"}, end_factor);
  require_choice({"WarmupStableDecay", "decay"}, static_cast<std::int64_t>(decay), 3);
}

void LambdaLR::check() const {
  if (!lr_lambda) rule::fail("LambdaLR", "lr_lambda must be a function, but is empty");
  require_steps({"LambdaLR", "steps"}, steps, 1);
  if (steps > schedule::kMostTabulated) {
    schedule::out_of_range({"LambdaLR", "steps"}, std::to_string(steps),
                           "be at most 2^26, the longest table");
  }
}

}  // namespace onepass
