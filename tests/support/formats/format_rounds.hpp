// format_rounds.hpp - expects rounds of step_some() in any format on any device to move a model as step()
// does on the CPU.
#pragma once

#include <gtest/gtest.h>

#include <algorithm>
#include <numeric>
#include <random>
#include <vector>

#include "support/formats/format_model.hpp"
#include "support/formats/format_state.hpp"
#include "support/rules.hpp"

namespace onepass::test {

using PartList = std::vector<std::vector<std::size_t>>;

/// Cuts the numbers below `count` into random parts, in random order.
inline PartList random_parts(std::size_t count, unsigned seed) {
  std::mt19937 random(seed);
  std::vector<std::size_t> numbers(count);
  std::iota(numbers.begin(), numbers.end(), std::size_t{0});
  std::shuffle(numbers.begin(), numbers.end(), random);
  PartList parts(1);
  for (const std::size_t number : numbers) {
    if (random() % 2 == 0 && !parts.back().empty()) parts.emplace_back();
    parts.back().push_back(number);
  }
  return parts;
}

inline void step_round(Optimizer& optimizer, const PartList& parts, Stream stream = {}) {
  for (const std::vector<std::size_t>& part : parts) optimizer.step_some(part, stream);
  optimizer.end_round(stream);
}

/// The clip of a step by the norm of the step before: what a round does. The first step is not clipped.
class ClipByTheNormBefore {
 public:
  explicit ClipByTheNormBefore(const Optimizer& optimizer)
      : last_(static_cast<std::size_t>(optimizer.measure_numel()), 0) {}

  void step(Optimizer& optimizer) {
    std::vector<std::int64_t> present(last_.size());
    const auto numel = static_cast<std::int64_t>(last_.size());
    optimizer.measure({present.data(), DType::int64, numel});
    optimizer.step_measured({last_.data(), DType::int64, numel});
    last_ = present;
  }

 private:
  std::vector<std::int64_t> last_;
};

inline void expect_rounds_are_steps(const RuleCase& rule, const FormatCase& format, Device device,
                                    const Options& given = {}) {
  if (rule.ties_parameters()) return;  // refused: tests/host/sums/model_sums_test.cpp
  const std::vector<std::int64_t> sizes{100, 0, 1025, 31, 4097, 2};
  Options options = given;
  options.storage = format.low();
  options.float32_storage = format.wide();
  options.seed = 7;
  const FormatModel whole(format, Device::cpu(), sizes), parted(format, device, sizes);
  Optimizer steps = rule.make(whole.parameters(), options), rounds = rule.make(parted.parameters(), options);
  const ClipGradNorm clip{.max_norm = 0.01};
  for (Optimizer* one : {&steps, &rounds}) one->clip_grad_norm(clip);
  ClipByTheNormBefore clipped(steps);
  for (int step = 1; step <= 17; ++step) {  // the 16th settles states
    whole.draw_finite(step);
    parted.draw_finite(step);
    clipped.step(steps);
    step_round(rounds, random_parts(sizes.size(), static_cast<unsigned>(step)));
  }
  EXPECT_GT(rounds.grad_norm(), clip.max_norm);
  EXPECT_EQ(all_bytes(whole, steps.state_dict()), all_bytes(parted, rounds.state_dict()));
}

}  // namespace onepass::test
