// subject.hpp - one case with its memory: a model, an optimizer over it, and the rivals that work on both.
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

/// All contestants work in place on the model and on the optimizer's states, so they share the same memory.
class Subject {
 public:
  /// Throws InvalidArgument if Optimizer does, std::bad_alloc if the case does not fit the memory.
  explicit Subject(Case measured);
  Subject(const Subject&) = delete;  // rivals and contestants refer to it
  Subject& operator=(const Subject&) = delete;

  [[nodiscard]] const Case& measured() const { return case_; }
  [[nodiscard]] double traffic() const { return total_bytes(optimizer_.traffic()); }
  /// Bytes that the limit moves: the bytes of a step that measures no norm.
  [[nodiscard]] double moved() const { return moved_; }
  [[nodiscard]] double memory() const { return total_bytes(optimizer_.memory()); }

  /// Adds a captured step to the contestants if `machine` can capture.
  void capture(Machine& machine);

  /// Takes two steps of onepass, one captured step and one of each rival, and compares each with the
  /// reference step: bit for bit, or within rounding for Leaves::the_step_rounded. The reference is the step
  /// by hand, or, for a rule without one, the step of a second optimizer. Returns the number of elements that
  /// were compared in each step. Throws std::runtime_error that names the difference. Call this before
  /// timing.
  std::int64_t verify();

  /// Returns onepass, its captured step, limit and copy, and with `baselines` the baselines that the case
  /// has. The contestants refer to this subject, which must outlive them.
  [[nodiscard]] std::vector<Contestant> contestants(bool baselines);

 private:
  [[nodiscard]] std::vector<Contestant> own();
  [[nodiscard]] std::vector<Bytes> taken() const;
  /// What a tensor carries for the rule.
  [[nodiscard]] std::vector<double> scalars_of(std::size_t tensor);
  void expect_step(const Contestant& contestant, int t, Leaves leaves);
  void expect_unchanged(const Contestant& contestant);

  Case case_;
  Model model_;
  Optimizer optimizer_;
  double moved_;
  std::vector<TensorStreams> streams_;
  std::vector<Part> windows_;
  std::unique_ptr<Rivals> rivals_;
  std::function<void()> replay_;  ///< Replays the captured step; empty if none was captured.
};

}  // namespace onepass::bench
