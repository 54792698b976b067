// format_resume.hpp - interrupts a training in any format on any device and resumes it from its StateDict.
#pragma once

#include <gtest/gtest.h>

#include "support/formats/format_model.hpp"
#include "support/formats/format_state.hpp"
#include "support/rules.hpp"

namespace onepass::test {

inline void train(const FormatModel& model, Optimizer& optimizer, int first, int last) {
  for (int step = first; step <= last; ++step) {
    model.draw(step, 30);
    optimizer.step();
  }
}

/// Expects a training that is resumed from a StateDict after `steps` steps to reach the bits of an
/// uninterrupted one after 2 * `steps`.
inline void expect_resumed(const RuleCase& rule, const FormatCase& format, Device device, int steps) {
  const Options options{.storage = format.low(),
                        .float32_storage = format.wide(),
                        .seed = 11,
                        .ema = EMA{.decay = 0.9, .dtype = DType::bfloat16}};
  const FormatModel whole(format, device, kFormatSizes), first(format, device, kFormatSizes),
      second(format, device, kFormatSizes);
  Optimizer steady = rule.make(whole.parameters(), options);
  train(whole, steady, 1, 2 * steps);

  Optimizer begun = rule.make(first.parameters(), options);
  train(first, begun, 1, steps);
  for (std::size_t i = 0; i < second.size(); ++i) {
    const Tensor to = second.value(i).tensor(), from = first.value(i).tensor();
    copy({device, to.data}, {device, from.data}, from.bytes());
  }
  Options another = options;
  another.seed = 12;  // load_state_dict() replaces it with the seed that the dict holds
  Optimizer resumed = rule.make(second.parameters(), another);
  resumed.load_state_dict(begun.state_dict());
  train(second, resumed, steps + 1, 2 * steps);
  ASSERT_EQ(all_bytes(whole, steady.state_dict()), all_bytes(second, resumed.state_dict()));
}

}  // namespace onepass::test
