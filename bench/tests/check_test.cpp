// check_test.cpp - the checks before timing find wrong steps.
#include <gtest/gtest.h>

#include <algorithm>
#include <cstring>

#include "bench/check/reference.hpp"
#include "bench/subject.hpp"

namespace onepass::bench {
namespace {

const RuleChoice& rule(std::string_view name) {
  return *std::ranges::find(rule_choices(), name, &RuleChoice::name);
}
const FormatChoice& format(std::string_view name) {
  return *std::ranges::find(format_choices(), name, &FormatChoice::name);
}

std::string failure(const Case& measured) {
  try {
    Subject(measured).verify();
  } catch (const std::runtime_error& error) {
    return error.what();
  }
  return "";
}

TEST(Verify, ComparesAllOfASmallModel) {
  const Case measured{&rule("adamw"), &format("f32"), many(3, 1001), best_isa(), 2};
  EXPECT_EQ(Subject(measured).verify(), 3003);
}

// The optimizer steps by Adam instead of AdamW, that is without the decay.
TEST(Verify, FindsAStepOfAnotherRule) {
  RuleChoice wrong = rule("adamw");
  wrong.rule = rule("adam").rule;
  for (const char* const name : {"f32", "bf16_split", "compact"}) {
    const std::string what = failure({&wrong, &format(name), flat(5000), best_isa(), 1});
    EXPECT_NE(what.find("onepass differs in bits"), std::string::npos) << what;
  }
}

TEST(Verify, FindsAWrongBaseline) {
  RuleChoice wrong = rule("adam");
  PlainStep step = *wrong.by_hand;
  step.name = "adamw";  // its scalar loop decays the parameter
  wrong.by_hand = &step;
  const std::string what = failure({&wrong, &format("f32"), flat(5000), best_isa(), 1});
  EXPECT_NE(what.find("scalar differs in bits"), std::string::npos) << what;
}

TEST(Verify, FindsStepsWithAnotherRounding) {
  FormatChoice wrong = format("bf16");
  wrong.storage.rounding = Rounding::stochastic;
  const Part window{0, 0, 64};
  const Model model(flat(64), wrong, Device::cpu());
  Optimizer optimizer(rule("sgd").rule, model.parameters(), {.seed = 7});
  const auto streams = streams_of(model, wrong, optimizer);
  const Bytes before = take(streams[0], window, element_bytes(wrong), Device::cpu());
  optimizer.step();
  const Bytes after = take(streams[0], window, element_bytes(wrong), Device::cpu());
  EXPECT_EQ(moved_by_hand({rule("sgd"), format("bf16"), 1, 7}, window, before), after);
  EXPECT_NE(moved_by_hand({rule("sgd"), wrong, 1, 7}, window, before), after);
}

Bytes changed(Bytes bytes, float factor) {
  float p;
  std::memcpy(&p, bytes.param.data(), sizeof p);
  p *= factor;
  std::memcpy(bytes.param.data(), &p, sizeof p);
  return bytes;
}

TEST(Deviation, DeviationIsCountedInUnitsOfRounding) {
  const Model model(flat(64), format("f32"), Device::cpu());
  Optimizer optimizer(rule("adam").rule, model.parameters());
  const auto streams = streams_of(model, format("f32"), optimizer);
  const Part window{0, 0, 64};
  const Bytes before = take(streams[0], window, element_bytes(format("f32")), Device::cpu());
  const ReferenceStep step{rule("adam"), format("f32"), 1, 7};
  const Bytes after = moved_by_hand(step, window, before);
  EXPECT_EQ(deviation(step, window, before, after, after), 0.0);
  EXPECT_LT(deviation(step, window, before, after, changed(after, 1.0f + 0x1p-22f)), 1.0);
  EXPECT_GT(deviation(step, window, before, after, changed(after, 1.0f + 0x1p-17f)), 1.0);
}

TEST(Windows, WindowsOfALargeModelCoverHeadTailAndBorders) {
  const std::vector<std::int64_t> sizes{300000, 70};
  const std::vector<Part> windows = choose_windows(sizes);
  const auto covers = [&](std::size_t tensor, std::int64_t element) {
    return std::ranges::any_of(windows, [&](const Part& one) {
      return one.tensor == tensor && one.begin <= element && element < one.end;
    });
  };
  for (const std::int64_t element : {0, 8191, 8192, 299999}) EXPECT_TRUE(covers(0, element)) << element;
  EXPECT_TRUE(covers(1, 0) && covers(1, 69));
  for (const Part& one : windows) EXPECT_TRUE(one.begin % 64 == 0 && one.begin < one.end);
}

}  // namespace
}  // namespace onepass::bench
