#include "host/cpu/threads/learner.hpp"

#include <algorithm>

namespace onepass::cpu {
namespace {

/// Runs of each way to begin with. The very first one may find memory that was never touched.
constexpr int kFirstRuns = 3;

/// Least number of runs between two trials.
constexpr int kRunsBetween = 16;

/// The share of all time that trials may lose.
constexpr double kShareForTrials = 0.01;

/// The weight of the newest time in the average, and how many times the average it may count for: a single
/// run that other programs have held up is soon forgotten, but a way that is often held up becomes the slower
/// one.
constexpr double kNewest = 1.0 / 16.0, kMostTimes = 32.0;

}  // namespace

bool Learner::together(double expected, double worth) {
  if (expected >= kNoDoubt) return true;
  const bool first = expected >= worth;
  if (way(first).runs < kFirstRuns) return first;
  const bool too_short = way(false).runs == kFirstRuns && way(false).nanoseconds < worth / 3.0;
  if (too_short) return false;
  if (way(!first).runs < kFirstRuns) return !first;
  const bool faster = way(true).nanoseconds < way(false).nanoseconds;
  return tries_other(faster) ? !faster : faster;
}

/// Returns whether it is time to try the way that was slower.
bool Learner::tries_other(bool faster) {
  const double loss = way(!faster).nanoseconds - way(faster).nanoseconds;
  if (!won_ && (runs_since_trial_ < kRunsBetween || saved_ < loss)) return false;
  saved_ = 0.0;
  runs_since_trial_ = 0;
  return true;
}

void Learner::took(bool together, double nanoseconds) {
  Way& this_way = way(together);
  won_ = nanoseconds < way(!together).nanoseconds && this_way.nanoseconds > way(!together).nanoseconds;
  if (this_way.runs < kFirstRuns) {
    this_way.nanoseconds = this_way.runs == 0 ? nanoseconds : std::min(this_way.nanoseconds, nanoseconds);
    ++this_way.runs;
    return;
  }
  const double counted = std::min(nanoseconds, kMostTimes * this_way.nanoseconds);
  this_way.nanoseconds += kNewest * (counted - this_way.nanoseconds);
  saved_ += kShareForTrials * nanoseconds;
  ++runs_since_trial_;
}

}  // namespace onepass::cpu
