// schedule.hpp - Schedule, the type of all learning-rate schedules that an optimizer can follow.
#pragma once

#include <cstdint>
#include <span>
#include <vector>

#include "onepass/schedules/segment.hpp"

namespace onepass {

struct ChainedScheduler;
struct ConstantLR;
struct CosineAnnealingLR;
struct CosineAnnealingWarmRestarts;
struct CyclicLR;
struct ExponentialLR;
struct LambdaLR;
struct LinearLR;
struct MultiStepLR;
struct OneCycleLR;
struct PolynomialLR;
struct SequentialLR;
struct StepLR;
struct WarmUp;
struct WarmupStableDecay;

/// A learning rate as a function of the step. All schedules of this directory, composed or not, convert to it
/// implicitly. It has no state: the rate of any step takes the same time to compute as that of the first, and
/// resuming needs no replay.
///
/// `step` is the number of steps completed before: 0 at the first step, as in PyTorch when scheduler.step()
/// follows optimizer.step(). An optimizer's device evaluates its schedule before each step, from the step
/// count in its own memory: a captured graph follows the schedule, and a skipped step does not advance it.
class Schedule {
 public:
  /// The schedule that always gives the base rate.
  Schedule();

  // Each constructor checks the parameters and throws InvalidArgument, naming the one that is out of range.
  Schedule(const ChainedScheduler& schedule);             // NOLINT: implicit
  Schedule(const ConstantLR& schedule);                   // NOLINT: implicit
  Schedule(const CosineAnnealingLR& schedule);            // NOLINT: implicit
  Schedule(const CosineAnnealingWarmRestarts& schedule);  // NOLINT: implicit
  Schedule(const CyclicLR& schedule);                     // NOLINT: implicit
  Schedule(const ExponentialLR& schedule);                // NOLINT: implicit
  Schedule(const LambdaLR& schedule);                     // NOLINT: implicit
  Schedule(const LinearLR& schedule);                     // NOLINT: implicit
  Schedule(const MultiStepLR& schedule);                  // NOLINT: implicit
  Schedule(const OneCycleLR& schedule);                   // NOLINT: implicit
  Schedule(const PolynomialLR& schedule);                 // NOLINT: implicit
  Schedule(const SequentialLR& schedule);                 // NOLINT: implicit
  Schedule(const StepLR& schedule);                       // NOLINT: implicit
  Schedule(const WarmUp& schedule);                       // NOLINT: implicit
  Schedule(const WarmupStableDecay& schedule);            // NOLINT: implicit

  /// Restores a schedule from its segments() and numbers(), for example after reading them from a file.
  /// Throws InvalidArgument unless they could be those of a Schedule.
  Schedule(std::span<const schedule::Segment> segments, std::span<const double> numbers);

  /// Returns the learning rate of a step. It is NaN or infinite only if base_lr is, or if a factor above 1
  /// overflows.
  [[nodiscard]] double lr(double base_lr, std::int64_t step) const { return rates(base_lr, step).lr; }
  /// Returns the learning rate of a step, and its momentum if OneCycleLR or CyclicLR drives it.
  [[nodiscard]] Rates rates(double base_lr, std::int64_t step) const;
  /// Returns true if the schedule drives the momentum at any step.
  [[nodiscard]] bool drives_momentum() const;

  /// The segments, to save.
  [[nodiscard]] std::span<const schedule::Segment> segments() const { return segments_; }
  /// The numbers that the segments refer to, to save.
  [[nodiscard]] std::span<const double> numbers() const { return numbers_; }
  /// Returns the argument for schedule::evaluate(). To evaluate on a device, copy segments() and numbers() to
  /// it and make a View of the copies.
  [[nodiscard]] schedule::View view() const {
    return {segments_.data(), static_cast<std::int64_t>(segments_.size()), numbers_.data()};
  }

  /// Returns true if both have the same segments and numbers.
  friend bool operator==(const Schedule&, const Schedule&) = default;

 private:
  std::vector<schedule::Segment> segments_;
  std::vector<double> numbers_;
};

}  // namespace onepass
