// subject.hpp - one case with its memory: a model, an optimizer over it, and all that moves the same memory.
#pragma once

#include <cstdint>
#include <functional>
#include <memory>
#include <vector>

#include "bench/case.hpp"
#include "bench/check/windows.hpp"
#include "bench/data/model.hpp"
#include "bench/harness/interleave.hpp"
#include "bench/machine/machine.hpp"
#include "bench/rivals.hpp"

namespace onepass::bench {

/// All contestants work in place on the model and the optimizer's states, so that all have the same memory.
class Subject {
 public:
  /// Throws InvalidArgument as Optimizer does, std::bad_alloc if it does not fit.
  explicit Subject(Case measured);
  Subject(const Subject&) = delete;  // rivals and contestants refer to it
  Subject& operator=(const Subject&) = delete;

  [[nodiscard]] const Case& measured() const { return case_; }
  [[nodiscard]] double traffic() const { return stepper_->traffic(); }
  /// Bytes that the limit moves: a step's without the norm.
  [[nodiscard]] double moved() const { return moved_; }
  [[nodiscard]] double memory() const { return stepper_->memory(); }

  /// From now on a step that `machine` has captured is one of the contestants, where it captures.
  void capture(Machine& machine);

  /// Takes two steps of onepass, one of its captured step and one of each rival, and compares with the step
  /// by hand: to the bit; with Leaves::the_step_rounded within its rounding. Returns how many elements of a
  /// step were compared. Throws std::runtime_error that says what differed. To be called before anything is
  /// timed.
  std::int64_t verify();

  /// onepass, its captured step, limit and copy; with `baselines` also those, where there are any. They refer
  /// to the subject.
  [[nodiscard]] std::vector<Contestant> contestants(bool baselines);

 private:
  [[nodiscard]] std::vector<Contestant> own();
  [[nodiscard]] std::vector<Bytes> taken() const;
  void expect_step(const Contestant& contestant, int t, Leaves leaves);
  void expect_unchanged(const Contestant& contestant);

  Case case_;
  Model model_;
  std::unique_ptr<Stepper> stepper_;
  double moved_;
  std::vector<TensorStreams> streams_;
  std::vector<Part> windows_;
  std::unique_ptr<Rivals> rivals_;
  std::function<void()> replay_;  ///< Of a step; empty without.
};

}  // namespace onepass::bench
