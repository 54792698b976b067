// schedules.cpp - schedules by name, their compositions, and ReduceLROnPlateau as a plain value of the
// caller's.
#include <cstring>
#include <utility>

#include "c/source/convert.hpp"
#include "c/source/fields.hpp"

namespace onepass::c {
namespace {

using Made = Named<Schedule>;

const std::vector<Made>& schedules() {
  static const std::vector<Made> all{
      named<Schedule, ConstantLR>(
          "ConstantLR",
          [](auto& s) {
            return Fields{field("factor", s.factor), field("total_iters", s.total_iters)};
          }),
      named<Schedule, CosineAnnealingLR>("CosineAnnealingLR",
                                         [](auto& s) {
                                           return Fields{field("T_max", s.T_max), field("eta_min", s.eta_min),
                                                         field("hold_minimum", s.hold_minimum)};
                                         }),
      named<Schedule, CosineAnnealingWarmRestarts>(
          "CosineAnnealingWarmRestarts",
          [](auto& s) {
            return Fields{field("T_0", s.T_0), field("T_mult", s.T_mult), field("eta_min", s.eta_min)};
          }),
      named<Schedule, CyclicLR>("CyclicLR",
                                [](auto& s) {
                                  return Fields{
                                      field("base_lr", s.base_lr),
                                      field("max_lr", s.max_lr),
                                      field("step_size_up", s.step_size_up),
                                      field("step_size_down", s.step_size_down),
                                      field("mode", s.mode, {"triangular", "triangular2", "exp_range"}),
                                      field("gamma", s.gamma),
                                      field("cycle_momentum", s.cycle_momentum),
                                      field("base_momentum", s.base_momentum),
                                      field("max_momentum", s.max_momentum)};
                                }),
      named<Schedule, ExponentialLR>("ExponentialLR",
                                     [](auto& s) { return Fields{field("gamma", s.gamma)}; }),
      named<Schedule, LinearLR>("LinearLR",
                                [](auto& s) {
                                  return Fields{field("start_factor", s.start_factor),
                                                field("end_factor", s.end_factor),
                                                field("total_iters", s.total_iters)};
                                }),
      named<Schedule, OneCycleLR>("OneCycleLR",
                                  [](auto& s) {
                                    return Fields{
                                        field("max_lr", s.max_lr),
                                        field("total_steps", s.total_steps),
                                        field("pct_start", s.pct_start),
                                        field("anneal_strategy", s.anneal_strategy, {"cos", "linear"}),
                                        field("cycle_momentum", s.cycle_momentum),
                                        field("base_momentum", s.base_momentum),
                                        field("max_momentum", s.max_momentum),
                                        field("div_factor", s.div_factor),
                                        field("final_div_factor", s.final_div_factor),
                                        field("three_phase", s.three_phase)};
                                  }),
      named<Schedule, PolynomialLR>(
          "PolynomialLR",
          [](auto& s) {
            return Fields{field("total_iters", s.total_iters), field("power", s.power)};
          }),
      named<Schedule, StepLR>("StepLR",
                              [](auto& s) {
                                return Fields{field("step_size", s.step_size), field("gamma", s.gamma)};
                              }),
      named<Schedule, WarmUp>("WarmUp",
                              [](auto& s) {
                                return Fields{field("steps", s.steps), field("start_factor", s.start_factor)};
                              }),
      named<Schedule, WarmupStableDecay>("WarmupStableDecay", [](auto& s) {
        return Fields{field("warmup_steps", s.warmup_steps),
                      field("stable_steps", s.stable_steps),
                      field("decay_steps", s.decay_steps),
                      field("start_factor", s.start_factor),
                      field("end_factor", s.end_factor),
                      field("decay", s.decay, {"linear", "cosine", "one_minus_sqrt"})};
      })};
  return all;
}

static_assert(sizeof(onepass_segment) == sizeof(schedule::Segment),
              "both have the same members in the same order");

onepass_schedule* new_schedule(Schedule schedule) {
  std::vector<onepass_segment> segments(schedule.segments().size());
  if (!segments.empty()) {
    std::memcpy(segments.data(), schedule.segments().data(), segments.size() * sizeof(onepass_segment));
  }
  return new onepass_schedule{std::move(schedule), std::move(segments)};
}

std::vector<Schedule> schedules_of(const onepass_schedule* const* list, std::int64_t count) {
  std::vector<Schedule> made;
  for (const onepass_schedule* one : array_of(list, "schedules", count, "count")) {
    require(one, "a schedule");
    made.push_back(one->schedule);
  }
  return made;
}

/// Throws unless the table's length is one that a schedule may have.
std::span<const double> factors_of(const double* factors, std::int64_t count) {
  const auto all = array_of(factors, "factors", count, "count");
  constexpr std::int64_t kMost = std::int64_t{1} << 26;
  if (count < 1 || count > kMost) refuse("count", count, "from 1 to 67108864");
  return all;
}

constexpr const char* kPlateau = "onepass_plateau";

ReduceLROnPlateau plateau_of(const onepass_plateau& c) {
  const auto min_lrs = array_of(c.min_lrs, "min_lrs", c.min_lr_count, "min_lr_count");
  ReduceLROnPlateau own{
      .mode = enumerator("mode", c.mode, ReduceLROnPlateau::Mode::max, "0 (min) or 1 (max)"),
      .factor = c.factor,
      .patience = c.patience,
      .threshold = c.threshold,
      .threshold_mode = enumerator("threshold_mode", c.threshold_mode, ReduceLROnPlateau::Threshold::abs,
                                   "0 (rel) or 1 (abs)"),
      .cooldown = c.cooldown,
      .min_lr = c.min_lr,
      .min_lrs = {min_lrs.begin(), min_lrs.end()},
      .eps = c.eps,
      .num_bad_epochs = c.num_bad_epochs,
      .cooldown_counter = c.cooldown_counter};
  if (flag("has_best", c.has_best)) own.best = c.best;
  return own;
}

/// Returns the caller's struct with everything but min_lrs as in `own`.
onepass_plateau plateau_of(const ReduceLROnPlateau& own, onepass_plateau c) {
  c.mode = static_cast<std::int32_t>(own.mode);
  c.threshold_mode = static_cast<std::int32_t>(own.threshold_mode);
  c.has_best = own.best.has_value() ? 1 : 0;
  c.factor = own.factor;
  c.patience = own.patience;
  c.threshold = own.threshold;
  c.cooldown = own.cooldown;
  c.min_lr = own.min_lr;
  c.eps = own.eps;
  c.best = own.best.value_or(0.0);
  c.num_bad_epochs = own.num_bad_epochs;
  c.cooldown_counter = own.cooldown_counter;
  return c;
}

}  // namespace
}  // namespace onepass::c

using namespace onepass::c;  // NOLINT: every function below is one of the interface

extern "C" {

int onepass_schedule_create(const char* name, const onepass_setting* settings, int64_t setting_count,
                            onepass_schedule** schedule) {
  return guarded([&] {
    write_handle(schedule, "schedule", [&] {
      return new_schedule(make_named(schedules(), "schedule", name,
                                     array_of(settings, "settings", setting_count, "setting_count")));
    });
  });
}

int onepass_schedule_multi_step(const int64_t* milestones, int64_t count, double gamma,
                                onepass_schedule** schedule) {
  return guarded([&] {
    write_handle(schedule, "schedule", [&] {
      const auto all = array_of(milestones, "milestones", count, "count");
      return new_schedule(onepass::MultiStepLR{.milestones = {all.begin(), all.end()}, .gamma = gamma});
    });
  });
}

int onepass_schedule_table(const double* factors, int64_t count, onepass_schedule** schedule) {
  return guarded([&] {
    write_handle(schedule, "schedule", [&] {
      const auto all = factors_of(factors, count);
      return new_schedule(onepass::LambdaLR{
          .lr_lambda = [&](std::int64_t step) { return all[static_cast<std::size_t>(step)]; },
          .steps = count});
    });
  });
}

int onepass_schedule_sequence(const onepass_schedule* const* list, int64_t count, const int64_t* milestones,
                              onepass_schedule** sequence) {
  return guarded([&] {
    write_handle(sequence, "sequence", [&] {
      auto made = schedules_of(list, count);
      const auto all = array_of(milestones, "milestones", count > 0 ? count - 1 : 0, "count");
      return new_schedule(
          onepass::SequentialLR{.schedules = std::move(made), .milestones = {all.begin(), all.end()}});
    });
  });
}

int onepass_schedule_chain(const onepass_schedule* const* list, int64_t count, onepass_schedule** chain) {
  return guarded([&] {
    write_handle(chain, "chain", [&] {
      return new_schedule(onepass::ChainedScheduler{.schedules = schedules_of(list, count)});
    });
  });
}

void onepass_schedule_destroy(onepass_schedule* schedule) { delete schedule; }

int onepass_schedule_rates(const onepass_schedule* schedule, double base_lr, int64_t step,
                           onepass_rates* rates) {
  return guarded([&] {
    require(schedule, "schedule");
    constexpr std::int64_t kMost = onepass::schedule::kMostSteps;
    if (step < 0 || step > kMost) refuse("step", step, "from 0 to 2^53");
    const onepass::Rates own = schedule->schedule.rates(base_lr, step);
    write_struct({.size = sizeof(onepass_rates),
                  .drives_momentum = own.drives_momentum ? 1 : 0,
                  .lr = own.lr,
                  .momentum = own.momentum},
                 rates, "onepass_rates");
  });
}

int onepass_schedule_segments(const onepass_schedule* schedule, const onepass_segment** segments,
                              int64_t* segment_count, const double** numbers, int64_t* number_count) {
  return guarded([&] {
    require(schedule, "schedule");
    require(segments, "segments");
    require(segment_count, "segment_count");
    require(numbers, "numbers");
    require(number_count, "number_count");
    *segments = schedule->segments.data();
    *segment_count = static_cast<std::int64_t>(schedule->segments.size());
    *numbers = schedule->schedule.numbers().data();
    *number_count = static_cast<std::int64_t>(schedule->schedule.numbers().size());
  });
}

int onepass_schedule_restore(const onepass_segment* segments, int64_t segment_count, const double* numbers,
                             int64_t number_count, onepass_schedule** schedule) {
  return guarded([&] {
    write_handle(schedule, "schedule", [&] {
      const auto given = array_of(segments, "segments", segment_count, "segment_count");
      std::vector<onepass::schedule::Segment> own(given.size());
      if (!own.empty()) std::memcpy(static_cast<void*>(own.data()), given.data(), given.size_bytes());
      return new_schedule(onepass::Schedule(own, array_of(numbers, "numbers", number_count, "number_count")));
    });
  });
}

int onepass_set_schedule(onepass_optimizer* optimizer, int32_t group, const onepass_schedule* schedule) {
  return guarded([&] {
    onepass::Optimizer& one = optimizer_of(optimizer);
    const onepass::Schedule own = schedule == nullptr ? onepass::Schedule() : schedule->schedule;
    if (group == -1) return one.set_schedule(own);
    one.set_schedule(own, group_of(group));
  });
}

int onepass_get_schedule(const onepass_optimizer* optimizer, int32_t group, onepass_schedule** schedule) {
  return guarded([&] {
    write_handle(schedule, "schedule",
                 [&] { return new_schedule(optimizer_of(optimizer).schedule(group_of(group))); });
  });
}

int onepass_dict_schedule(const onepass_dict* dict, int64_t group, onepass_schedule** schedule) {
  return guarded([&] {
    write_handle(schedule, "schedule", [&] {
      require(dict, "dict");
      return new_schedule(at(dict->dict.schedules, "a schedule's group", group));
    });
  });
}

int onepass_plateau_init(onepass_plateau* plateau) {
  return guarded([&] {
    require(plateau, "plateau");
    onepass_plateau empty{};
    empty.size = sizeof empty;
    *plateau = plateau_of(onepass::ReduceLROnPlateau{}, empty);
  });
}

int onepass_plateau_step(onepass_plateau* plateau, double metric, onepass_optimizer* optimizer, void* stream,
                         int32_t* fired) {
  return guarded([&] {
    require(plateau, "plateau");
    const onepass_plateau given = struct_of(plateau, kPlateau);
    onepass::ReduceLROnPlateau own = plateau_of(given);
    const bool has_fired = own.step(metric, optimizer_of(optimizer), stream_of(stream));
    write_struct(plateau_of(own, given), plateau, kPlateau);
    if (fired != nullptr) *fired = has_fired ? 1 : 0;
  });
}

}  // extern "C"
