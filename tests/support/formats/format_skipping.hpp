// format_skipping.hpp - expects a NaN or an Inf in a gradient of any dtype on any device to skip the step,
// and check() to name the element.
#pragma once

#include <gtest/gtest.h>

#include <limits>
#include <string>

#include "support/formats/format_model.hpp"
#include "support/formats/format_state.hpp"
#include "support/rules.hpp"

namespace onepass::test {

/// Returns the message that check() throws, or an empty string if it throws none.
inline std::string complaint(Optimizer& optimizer) {
  try {
    optimizer.check();
  } catch (const NonFiniteGradient& error) {
    return error.what();
  }
  return "";
}

/// Spoils the last element of a tensor of odd size, which a loop that reads two at a time could miss.
inline void expect_skipped(const RuleCase& rule, const FormatCase& format, Device device) {
  const FormatModel model(format, device, {100, 0, 1025});
  Optimizer optimizer =
      rule.make(model.parameters(), {.storage = format.low(), .float32_storage = format.wide(), .seed = 7});
  optimizer.set_gradient_handling({.nonfinite = NonFinite::error});
  model.draw_finite(1);
  optimizer.step();
  const std::vector<std::byte> before = all_bytes(model, optimizer.state_dict());
  constexpr float kInf = std::numeric_limits<float>::infinity();
  for (const float bad : {kInf, -kInf, std::numeric_limits<float>::quiet_NaN()}) {
    std::vector<float> gradient = model.grad(2).floats();
    gradient.back() = bad;
    model.grad(2).write(gradient);
    optimizer.step();
    EXPECT_EQ(before, all_bytes(model, optimizer.state_dict())) << bad;
    const std::string told = complaint(optimizer);
    EXPECT_NE(told.find("element 1024 of \"t2\""), std::string::npos) << told;
  }
  EXPECT_EQ(optimizer.skipped_steps(), 3);
  model.draw_finite(2);
  optimizer.step();
  EXPECT_EQ(optimizer.steps(), 2);
  EXPECT_NE(before, all_bytes(model, optimizer.state_dict()));
}

}  // namespace onepass::test
