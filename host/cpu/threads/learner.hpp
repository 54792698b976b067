// learner.hpp - learns from timings whether further threads bring a piece of work anything.
#pragma once

#include <array>

namespace onepass::cpu {

/// Chooses, for work that is done again and again, whether several threads do it together or the caller does
/// it alone. In a training loop the other threads may have to be woken, or their processors may be busy, so
/// the number of elements does not tell which is faster. Both ways are tried, the faster one is used, and the
/// other one is tried again from time to time, in case things have changed. Trials that lose take at most a
/// hundredth of all time, after the first ones. The choice changes no result.
class Learner {
 public:
  /// Work of this many nanoseconds is done together without asking: what waking threads may cost does not
  /// show in it, and a trial alone would take long.
  static constexpr double kNoDoubt = 5e6;

  /// Returns whether to do the work together this time. `expected`: about the nanoseconds that one thread
  /// takes. `worth`: nanoseconds from which on several threads are expected to pay. Work that has been seen
  /// to take less than a third of it is not tried together.
  [[nodiscard]] bool together(double expected, double worth);

  /// Tells how long the work took in one of the ways.
  void took(bool together, double nanoseconds);

 private:
  /// The times that the learner has measured of one way.
  struct Way {
    int runs = 0;              ///< Counted up to kFirstRuns.
    double nanoseconds = 0.0;  ///< The shortest of the first runs, then a moving average.
  };

  [[nodiscard]] Way& way(bool together) { return ways_[together ? 1 : 0]; }
  [[nodiscard]] bool tries_other(bool faster);

  std::array<Way, 2> ways_;  ///< Alone, together.
  double saved_ = 0.0;       ///< Nanoseconds that the next trial may lose.
  int runs_since_trial_ = 0;
  bool won_ = false;  ///< Whether the last trial was faster than the way that is used.
};

}  // namespace onepass::cpu
