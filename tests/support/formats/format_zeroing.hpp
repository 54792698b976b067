// format_zeroing.hpp - zeroes gradients of any dtype on any device and compares the training with one that
// keeps its gradients.
#pragma once

#include <gtest/gtest.h>

#include <algorithm>

#include "support/formats/format_model.hpp"
#include "support/formats/format_state.hpp"
#include "support/rules.hpp"

namespace onepass::test {

/// The call that zeroes the gradients: step(), zero_grad(), or accumulate() once it has added them up.
enum class Zeroing { step, call, accumulate };

struct ZeroingCase {
  FormatCase format;
  Device device;
  Zeroing by;
  std::int64_t chunk_size;
  std::vector<std::int64_t> sizes = with_a_large_one();
};

inline testing::AssertionResult gradients_are_zero(const FormatModel& model) {
  for (std::size_t i = 0; i < model.size(); ++i) {
    const std::vector<std::byte> bytes = model.grad(i).bytes();
    const auto at = std::ranges::find_if(bytes, [](std::byte one) { return one != std::byte{0}; });
    if (at == bytes.end()) continue;
    return testing::AssertionFailure()
           << "tensor " << i << ": byte " << at - bytes.begin() << " of " << bytes.size() << " is not zero";
  }
  return testing::AssertionSuccess();
}

/// Expects that every byte of every gradient becomes 0, that no byte around them changes, and that parameters
/// and states get the bits of a training that zeroes nothing.
inline void expect_zeroed(const RuleCase& rule, const ZeroingCase& how) {
  constexpr int kSteps = 2;
  const FormatModel model(how.format, how.device, how.sizes), twin(how.format, how.device, how.sizes);
  const Options options{.chunk_size = how.chunk_size,
                        .storage = how.format.low(),
                        .float32_storage = how.format.wide(),
                        .seed = 7,
                        .accumulates_gradients = how.by == Zeroing::accumulate};
  Optimizer optimizer = rule.make(model.parameters(), options);
  Optimizer steady = rule.make(twin.parameters(), options);
  optimizer.set_gradient_handling({.zero_grad = how.by != Zeroing::call});
  for (int step = 1; step <= kSteps; ++step) {
    model.draw(step, 30);
    twin.draw(step, 30);
    if (how.by == Zeroing::accumulate) {
      optimizer.accumulate();
      steady.accumulate();
      ASSERT_TRUE(gradients_are_zero(model));
    }
    optimizer.step();
    steady.step();
    if (how.by == Zeroing::call) optimizer.zero_grad();
    ASSERT_TRUE(gradients_are_zero(model));
    ASSERT_TRUE(model.intact());
  }
  ASSERT_EQ(all_bytes(twin, steady.state_dict()), all_bytes(model, optimizer.state_dict()));
}

inline constexpr Zeroing kZeroings[] = {Zeroing::step, Zeroing::call, Zeroing::accumulate};

}  // namespace onepass::test
