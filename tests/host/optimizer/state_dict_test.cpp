// state_dict_test.cpp - the states of an optimizer can be saved, loaded bit for bit, and accessed in place.
#include <gtest/gtest.h>

#include <algorithm>
#include <cstring>

#include "support/model.hpp"
#include "support/named.hpp"
#include "support/numbers/compare.hpp"
#include "support/rules.hpp"

namespace onepass::test {
namespace {

const std::vector<Shape> kShapes{
    {.numel = 0}, {.numel = 70, .value_misalignment = 1}, {.numel = 133}, {.numel = 1}};

class States : public testing::TestWithParam<RuleCase> {};

INSTANTIATE_TEST_SUITE_P(Rules, States, testing::ValuesIn(rule_options()), by_name);

TEST_P(States, LoadedIntoANewOptimizerContinueBitForBit) {
  constexpr int kSteps = 7;
  Model whole(kShapes);
  Optimizer steady = GetParam().make(whole.parameters(), {});
  train(whole, steady, 2 * kSteps);

  Model first(kShapes), second(kShapes);
  StateDict dict;
  {
    Optimizer optimizer = GetParam().make(first.parameters(), {.chunk_size = 64});
    train(first, optimizer, kSteps);
    dict = optimizer.state_dict();
  }
  for (std::size_t i = 0; i < first.size(); ++i) second.value(i).write(first.value(i).host());
  Optimizer resumed = GetParam().make(second.parameters(), {});
  std::reverse(dict.parameters.begin(), dict.parameters.end());  // matched by name, not by position
  resumed.load_state_dict(dict);
  train(second, resumed, kSteps, kSteps + 1);
  EXPECT_TRUE(equal_bits(snapshot(whole.parameters(), steady), snapshot(second.parameters(), resumed)));
}

TEST_P(States, DictHoldsEveryStateOfEveryParameter) {
  Model model(kShapes);
  Optimizer optimizer = GetParam().make(model.parameters(), {});
  train(model, optimizer, 3);
  const StateDict dict = optimizer.state_dict();
  ASSERT_EQ(dict.groups.size(), 1u);
  EXPECT_EQ(dict.groups[0].rule, GetParam().rule.name());
  ASSERT_EQ(dict.parameters.size(), kShapes.size());
  for (std::size_t i = 0; i < kShapes.size(); ++i) {
    const SavedParameter& saved = dict.parameters[i];
    EXPECT_EQ(saved.name, tensor_name(static_cast<int>(i)));
    EXPECT_EQ(saved.step, 3);
    ASSERT_GE(saved.states.size(), optimizer.state_names().size());
    for (std::size_t s = 0; s < optimizer.state_names().size(); ++s) {
      EXPECT_EQ(saved.states[s].name, optimizer.state_names()[s]);
      std::vector<float> floats(saved.states[s].bytes.size() / sizeof(float));
      if (!floats.empty())
        std::memcpy(floats.data(), saved.states[s].bytes.data(), saved.states[s].bytes.size());
      EXPECT_TRUE(equal_bits(read(optimizer.state(saved.name, saved.states[s].name)), floats));
    }
  }
}

TEST_P(States, StatesStartAtZeroAndTheirMemoryStays) {
  Model model(kShapes);
  Optimizer optimizer = GetParam().make(model.parameters(), {});
  std::vector<void*> memory;
  for (const char* name : optimizer.state_names()) {
    const Tensor state = optimizer.state("t2", name);
    EXPECT_TRUE(equal_bits(std::vector<float>(133, 0.0f), read(state))) << name;
    memory.push_back(state.data);
  }
  train(model, optimizer, 2);
  for (std::size_t i = 0; i < memory.size(); ++i) {
    EXPECT_EQ(optimizer.state("t2", optimizer.state_names()[i]).data, memory[i]);
  }
}

TEST(StateView, WritingThroughItChangesTheNextStep) {
  std::vector<float> p{0.0f}, gradient{0.0f};
  Optimizer optimizer{SGD{.lr = 1.0, .momentum = 0.5},
                      std::vector<Parameter>{{"p", std::span(p), std::span(gradient)}}};
  optimizer.step();
  *static_cast<float*>(optimizer.state("p", "momentum_buffer").data) = 4.0f;
  optimizer.step();
  EXPECT_EQ(p[0], -2.0f);
}

TEST(StateDict, SkippedStepsAreRemembered) {
  Model model(kShapes);
  Optimizer optimizer{Adam{}, model.parameters()};
  const float found_inf = 1.0f;
  optimizer.set_found_inf(&found_inf);
  optimizer.step();
  optimizer.step();
  const StateDict dict = optimizer.state_dict();
  EXPECT_EQ(dict.skipped_steps, 2);
  Optimizer other{Adam{}, model.parameters()};
  other.load_state_dict(dict);
  EXPECT_EQ(other.skipped_steps(), 2);
  EXPECT_EQ(other.step_count("t1"), 0);
}

TEST(StateDict, LateAndEarlyParametersKeepTheirOwnStepCounts) {
  Model model(kShapes), late(std::vector<Shape>{{.numel = 12, .id = 9}});
  Optimizer optimizer{Adam{}, model.parameters()};
  optimizer.step();
  optimizer.add_parameters(late.parameters());
  optimizer.step();
  std::vector<Parameter> all = model.parameters();
  all.push_back(late.parameters().front());
  Optimizer other{Adam{}, all};
  other.load_state_dict(optimizer.state_dict());
  EXPECT_EQ(other.step_count("t1"), 2);
  EXPECT_EQ(other.step_count("t9"), 1);
}

// Denormals and NaNs with a payload come back as they were.
TEST(StateDict, BitsComeBackAsTheyWere) {
  std::vector<float> p(3, 0.0f);
  Optimizer optimizer{SGD{.momentum = 0.5}, std::vector<Parameter>{{"p", std::span(p)}}};
  const std::vector<std::uint32_t> odd{0x00000001u, 0x7fa12345u, 0x80000000u};
  const Tensor state = optimizer.state("p", "momentum_buffer");
  std::memcpy(state.data, odd.data(), state.bytes());
  const StateDict dict = optimizer.state_dict();
  std::memset(state.data, 0, state.bytes());
  optimizer.load_state_dict(dict);
  EXPECT_EQ(std::memcmp(state.data, odd.data(), state.bytes()), 0);
}

}  // namespace
}  // namespace onepass::test
