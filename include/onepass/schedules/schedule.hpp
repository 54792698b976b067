// schedule.hpp - any learning-rate schedule: the value that an optimizer takes.
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

/// A function of the step: schedules of this folder, composed or not, turn into it by themselves. It has no
/// state: the rate of any step is as near as that of the first, and nothing needs to be counted up to resume.
///
/// `step` counts the steps completed before: 0 at the first, as PyTorch has it where scheduler.step() comes
/// after optimizer.step().
class Schedule {
 public:
  /// The base rate, always.
  Schedule();

  // Each checks its parameters and throws InvalidArgument, naming the one that is out of range.
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

  /// Out of what segments() and numbers() gave, saved and read back. Throws InvalidArgument unless a Schedule
  /// could have given them.
  Schedule(std::span<const schedule::Segment> segments, std::span<const double> numbers);

  /// The learning rate of a step; NaN or infinite only if base_lr is, or where a factor above 1 took it
  /// there.
  [[nodiscard]] double lr(double base_lr, std::int64_t step) const { return rates(base_lr, step).lr; }
  /// The same with the momentum, where OneCycleLR or CyclicLR drives it.
  [[nodiscard]] Rates rates(double base_lr, std::int64_t step) const;
  /// Whether it drives the momentum at any step.
  [[nodiscard]] bool drives_momentum() const;

  /// What schedule::evaluate() reads, on any device that it has been copied to.
  [[nodiscard]] std::span<const schedule::Segment> segments() const { return segments_; }
  [[nodiscard]] std::span<const double> numbers() const { return numbers_; }
  [[nodiscard]] schedule::View view() const {
    return {segments_.data(), static_cast<std::int64_t>(segments_.size()), numbers_.data()};
  }

  /// Whether both are made of the same segments.
  friend bool operator==(const Schedule&, const Schedule&) = default;

 private:
  std::vector<schedule::Segment> segments_;
  std::vector<double> numbers_;
};

}  // namespace onepass
