// lookahead_test.cpp - slow weights that every k-th step moves, and the parameter that goes on from them.
#include "onepass/regularizers/lookahead.hpp"

#include <gtest/gtest.h>

#include <algorithm>
#include <cmath>
#include <limits>
#include <string>

#include "reference/lookahead.hpp"
#include "support/checkpoint/files.hpp"
#include "support/formats/format_model.hpp"
#include "support/formats/format_state.hpp"
#include "support/named.hpp"
#include "support/numbers/compare.hpp"
#include "support/refusal.hpp"

namespace onepass::test {
namespace {

bool takes_slow(const FormatCase& format) {
  return format.param == DType::float32 || format.storage.master == Master::float32 ||
         format.storage.master == Master::split;
}

std::vector<FormatCase> formats(bool taken) {
  std::vector<FormatCase> some;
  for (const FormatCase& format : all_format_cases()) {
    if (takes_slow(format) == taken) some.push_back(format);
  }
  return some;
}

Options options_of(const FormatCase& format, std::optional<Lookahead> lookahead) {
  return {.chunk_size = 128,
          .storage = format.low(),
          .float32_storage = format.wide(),
          .seed = 7,
          .lookahead = lookahead};
}

class EveryFormat : public testing::TestWithParam<FormatCase> {};
INSTANTIATE_TEST_SUITE_P(Lookahead, EveryFormat, testing::ValuesIn(formats(true)), by_name);

StateDict without_slow(StateDict dict) {
  for (SavedParameter& parameter : dict.parameters) {
    std::erase_if(parameter.states, [](const SavedState& state) { return state.name == "slow"; });
  }
  return dict;
}

/// Copies the values of a model, and what its optimizer remembers but the slow weights.
void follow(const FormatModel& model, const Optimizer& optimizer, const FormatModel& twin, Optimizer& plain) {
  for (std::size_t i = 0; i < model.size(); ++i) {
    copy({Device::cpu(), twin.value(i).tensor().data}, {Device::cpu(), model.value(i).tensor().data},
         model.value(i).tensor().bytes());
  }
  plain.load_state_dict(without_slow(optimizer.state_dict()));
}

TEST_P(EveryFormat, EveryKthStepMovesTheSlowWeightsAndGoesOnFromThem) {
  const FormatCase& format = GetParam();
  for (const Lookahead& lookahead : {Lookahead{.k = 3, .alpha = 0.5}, Lookahead{.k = 2, .alpha = 0.8}}) {
    const FormatModel model(format, Device::cpu(), with_a_large_one());
    const FormatModel twin(format, Device::cpu(), with_a_large_one());
    Optimizer optimizer{AdamW{.lr = 0.01}, model.parameters(), options_of(format, lookahead)};
    Optimizer plain{AdamW{.lr = 0.01}, twin.parameters(), options_of(format, {})};
    for (int t = 1; t <= 7; ++t) {
      follow(model, optimizer, twin, plain);
      const StateDict before = optimizer.state_dict();
      model.draw(t, 30);
      twin.draw(t, 30);
      optimizer.step();
      plain.step();
      const StateDict after = optimizer.state_dict(), fast = plain.state_dict();
      for (std::size_t i = 0; i < model.size(); ++i) {
        const std::vector<float> theta = decoded_param(format, twin.value(i), fast.parameters[i]);
        const std::vector<float> param = decoded_param(format, model.value(i), after.parameters[i]);
        const std::vector<float> was = decoded_state(state_of(before.parameters[i], "slow"), theta.size());
        const std::vector<float> slow = decoded_state(state_of(after.parameters[i], "slow"), theta.size());
        if (t % lookahead.k != 0) {
          EXPECT_TRUE(equal_bits(theta, param));
          EXPECT_TRUE(equal_bits(was, slow));
          continue;
        }
        EXPECT_TRUE(equal_bits(slow, param));
        for (std::size_t e = 0; e < theta.size(); ++e) {
          reference::Lookahead expected{lookahead.k, static_cast<float>(lookahead.alpha), was[e]};
          const double wanted = expected.after(t, theta[e]);
          if (!std::isfinite(wanted)) {
            ASSERT_FALSE(std::isfinite(slow[e]));
            continue;
          }
          // The interpolation rounds twice, each time by half a unit of the larger operand.
          const double larger = std::max(std::fabs(was[e]), std::fabs(theta[e]));
          ASSERT_NEAR(slow[e], wanted, 2.01 * 0x1p-24 * larger + 0x1p-148) << t << " " << e;
        }
        EXPECT_TRUE(equal_bits(decoded_state(state_of(fast.parameters[i], "exp_avg"), theta.size()),
                               decoded_state(state_of(after.parameters[i], "exp_avg"), theta.size())))
            << "the rule's states stay";
      }
    }
  }
}

TEST_P(EveryFormat, AStateDictGoesOnBitForBit) {
  const FormatModel whole(GetParam(), Device::cpu(), {100}), parted(GetParam(), Device::cpu(), {100});
  const Options options = options_of(GetParam(), Lookahead{.k = 4});
  Optimizer steady{AdamW{}, whole.parameters(), options}, first{AdamW{}, parted.parameters(), options};
  for (int t = 1; t <= 6; ++t) whole.draw_finite(t), parted.draw_finite(t), steady.step(), first.step();
  const StateDict saved = first.state_dict();
  Optimizer second{AdamW{}, parted.parameters(), options};
  second.load_state_dict(saved);
  for (int t = 7; t <= 13; ++t) whole.draw_finite(t), parted.draw_finite(t), steady.step(), second.step();
  EXPECT_EQ(all_bytes(whole, steady.state_dict()), all_bytes(parted, second.state_dict()));
}

TEST_P(EveryFormat, ACheckpointGoesOnBitForBit) {
  const FormatModel whole(GetParam(), Device::cpu(), {100}), parted(GetParam(), Device::cpu(), {100});
  const Options options = options_of(GetParam(), Lookahead{.k = 4});
  Optimizer steady{AdamW{}, whole.parameters(), options}, first{AdamW{}, parted.parameters(), options};
  for (int t = 1; t <= 6; ++t) whole.draw_finite(t), parted.draw_finite(t), steady.step(), first.step();
  const Folder folder;
  save(folder / "run", first);
  const FormatModel loaded(GetParam(), Device::cpu(), {100});
  Optimizer second{AdamW{}, loaded.parameters(), options};
  load(folder / "run", second);
  for (int t = 7; t <= 13; ++t) whole.draw_finite(t), loaded.draw_finite(t), steady.step(), second.step();
  EXPECT_EQ(all_bytes(whole, steady.state_dict()), all_bytes(loaded, second.state_dict()));
  Optimizer plain{AdamW{}, loaded.parameters(), options_of(GetParam(), {})};
  EXPECT_TRUE(refused([&] { load(folder / "run", plain); },
                      {"it has slow weights of \"t0\", but this optimizer keeps none"}));
  save(folder / "plain", plain);
  EXPECT_TRUE(refused([&] { load(folder / "plain", second); },
                      {"it has no slow weights of \"t0\", but this optimizer keeps some"}));
}

TEST_P(EveryFormat, ShardsHaveTheBitsOfTheWhole) {
  const Options options = options_of(GetParam(), Lookahead{.k = 2});
  const FormatModel whole(GetParam(), Device::cpu(), {320}), part(GetParam(), Device::cpu(), {320});
  Optimizer one{SGD{.lr = 0.1}, whole.parameters(), options};
  const Parameter all = part.parameters().front();
  const auto cut = [](const Tensor& tensor, std::int64_t first, std::int64_t numel) {
    return Tensor{
        static_cast<std::byte*>(tensor.data) + first * static_cast<std::int64_t>(size_of(tensor.dtype)),
        tensor.dtype, numel, tensor.device};
  };
  std::vector<Optimizer> shards;
  for (const auto& [first, numel] : {std::pair<std::int64_t, std::int64_t>{0, 96}, {96, 224}}) {
    Parameter shard = all;
    shard.value = cut(all.value, first, numel);
    shard.grad = cut(all.grad, first, numel);
    shard.first = first;
    shards.emplace_back(SGD{.lr = 0.1}, std::vector{shard}, options);
  }
  for (int t = 1; t <= 4; ++t) {
    whole.draw_finite(t), part.draw_finite(t);
    one.step();
    for (Optimizer& shard : shards) shard.step();
  }
  EXPECT_EQ(whole.value(0).bytes(), part.value(0).bytes());
}

class OtherFormats : public testing::TestWithParam<FormatCase> {};
INSTANTIATE_TEST_SUITE_P(Lookahead, OtherFormats, testing::ValuesIn(formats(false)), by_name);

TEST_P(OtherFormats, AreRefused) {
  const FormatModel model(GetParam(), Device::cpu(), {100});
  const Options options = options_of(GetParam(), Lookahead{});
  EXPECT_TRUE(refused([&] { Optimizer(AdamW{}, model.parameters(), options); },
                      {"Lookahead puts parameters where their slow weights are, in float32, but \"t0\" is ",
                       "use master float32"}));
  EXPECT_TRUE(refused([&] { (void)Optimizer::required_memory(AdamW{}, model.parameters(), options); },
                      {"Lookahead", "\"t0\""}));
}

/// A parameter of float32 whose gradient the test writes.
struct One {
  std::vector<float> value, grad;

  explicit One(float start) : value{start}, grad{0.0f} {}
  [[nodiscard]] std::vector<Parameter> parameters(std::string name = "w") {
    return {{.name = std::move(name), .value = std::span(value), .grad = std::span(grad)}};
  }
};

TEST(LookaheadTest, SgdOnABowlFollowsTheAlgorithmOfThePaper) {
  for (const std::int64_t k : {1, 5, 6}) {
    One one(4.0f);
    Optimizer optimizer{SGD{.lr = 0.3}, one.parameters(), {.lookahead = Lookahead{.k = k, .alpha = 0.25}}};
    double theta = 4.0;
    reference::Lookahead expected{k, 0.25, theta};
    for (int t = 1; t <= 40; ++t) {
      one.grad[0] = one.value[0] - 1.0f;
      optimizer.step();
      theta = expected.after(t, theta - 0.3 * (theta - 1.0));
      ASSERT_NEAR(one.value[0], theta, 4e-6) << k << " " << t;
      ASSERT_NEAR(*static_cast<float*>(optimizer.state("w", "slow").data), expected.phi, 4e-6);
    }
  }
}

TEST(LookaheadTest, AnAlphaOfOneChangesNoBit) {
  const FormatModel model(format_case("float32"), Device::cpu(), {100}),
      twin(format_case("float32"), Device::cpu(), {100});
  Optimizer plain{AdamW{}, model.parameters()};
  Optimizer optimizer{AdamW{}, twin.parameters(), {.lookahead = Lookahead{.k = 2, .alpha = 1.0}}};
  for (int t = 1; t <= 5; ++t) {
    model.draw_finite(t), twin.draw_finite(t);
    plain.step(), optimizer.step();
    EXPECT_EQ(model.value(0).bytes(), twin.value(0).bytes());
  }
}

TEST(LookaheadTest, StepsThatLeaveAParameterOutDoNotCount) {
  One one(4.0f), other(4.0f);
  std::vector<Parameter> both = one.parameters("one");
  both.push_back(other.parameters("other")[0]);
  Optimizer optimizer{SGD{.lr = 1.0}, both, {.lookahead = Lookahead{.k = 2}}};
  one.grad[0] = other.grad[0] = 1.0f;
  optimizer.set_gradients(std::vector<Tensor>{Tensor(one.grad), Tensor{}});
  optimizer.step();
  optimizer.set_gradients(std::vector<Tensor>{Tensor(one.grad), Tensor(other.grad)});
  optimizer.step();
  EXPECT_EQ(one.value[0], 3.0f) << "its second step goes halfway back from 2";
  EXPECT_EQ(other.value[0], 3.0f) << "its first step stays";
  other.grad[0] = std::numeric_limits<float>::quiet_NaN();
  optimizer.set_nonfinite(NonFinite::skip);
  optimizer.step();
  EXPECT_EQ(other.value[0], 3.0f) << "a skipped step counts for none";
  other.grad[0] = 1.0f;
  optimizer.step();
  EXPECT_EQ(other.value[0], 3.0f) << "its second step goes halfway back from 2";
}

TEST(LookaheadTest, TheAverageAndTheCopyFollowTheParameterThatGoesOn) {
  One one(4.0f);
  std::vector<std::uint16_t> copy{0};
  std::vector<Parameter> parameters = one.parameters();
  parameters[0].copy = {copy.data(), DType::bfloat16, 1};
  Optimizer optimizer{SGD{.lr = 1.0}, parameters, {.ema = EMA{.decay = 0.5}, .lookahead = Lookahead{.k = 1}}};
  one.grad[0] = 2.0f;
  optimizer.step();
  EXPECT_EQ(one.value[0], 3.0f);
  EXPECT_EQ(storage::BFloat16::decode(copy[0]), 3.0f);
  EXPECT_EQ(*static_cast<float*>(optimizer.state("w", "ema").data), 3.5f);
}

TEST(LookaheadTest, RoundsAndSamMoveTheSlowWeightsAsStepsDo) {
  One steps(4.0f), rounds(4.0f);
  const Options options{.lookahead = Lookahead{.k = 2}};
  Optimizer one{SGD{.lr = 0.5}, steps.parameters(), options};
  Optimizer other{SGD{.lr = 0.5}, rounds.parameters(), options};
  for (int t = 0; t < 5; ++t) {
    steps.grad[0] = steps.value[0];
    one.step();
    rounds.grad[0] = rounds.value[0];
    other.perturb({.rho = 0.25});
    other.step_some(std::vector<std::size_t>{0});
    other.end_round();
    EXPECT_EQ(steps.value, rounds.value) << t;
  }
}

TEST(LookaheadTest, ItsMemoryAndTrafficAreListed) {
  const FormatModel model(format_case("bf16_split"), Device::cpu(), {100});
  const Options options = options_of(format_case("bf16_split"), Lookahead{.k = 4});
  const Optimizer optimizer{SGD{}, model.parameters(), options};
  const auto bytes = [](const std::vector<StreamBytes>& streams, std::string_view name) {
    return std::ranges::find(streams, name, &StreamBytes::name)->bytes;
  };
  EXPECT_EQ(bytes(optimizer.memory(), "slow"), 400.0);
  EXPECT_EQ(bytes(optimizer.traffic(), "slow"), 200.0) << "read and written in every fourth step";
  EXPECT_EQ(bytes(optimizer.traffic(), "param"), 450.0) << "written once more in every fourth step";
  EXPECT_EQ(bytes(optimizer.traffic(), "remainder"), 450.0);
  const auto required = Optimizer::required_memory(SGD{}, model.parameters(), options);
  const auto slow = std::ranges::find(required[0].streams, "slow", &RequiredStream::name);
  ASSERT_NE(slow, required[0].streams.end());
  EXPECT_EQ(slow->dtype, DType::float32);
  EXPECT_EQ(slow->numel, 100);
}

TEST(LookaheadTest, SlowWeightsMayLieInMemoryOfTheCallers) {
  One one(4.0f);
  std::vector<float> slow{9.0f};
  std::vector<Parameter> parameters = one.parameters();
  parameters[0].streams = {{.name = "slow", .tensor = std::span(slow), .contents = Contents::first}};
  {
    Optimizer optimizer{SGD{.lr = 1.0}, parameters, {.lookahead = Lookahead{.k = 1}}};
    EXPECT_EQ(slow[0], 4.0f) << "they start at the parameter";
    one.grad[0] = 2.0f;
    optimizer.step();
    EXPECT_EQ(slow[0], 3.0f);
  }
  parameters[0].streams[0].contents = Contents::present;
  slow[0] = 8.0f;
  Optimizer optimizer{SGD{.lr = 1.0}, parameters, {.lookahead = Lookahead{.k = 1}}};
  optimizer.step();
  EXPECT_EQ(one.value[0], 4.5f) << "halfway between 8 and 1";
}

TEST(LookaheadTest, ParametersThatJoinHaveTheirOwn) {
  One one(4.0f), late(8.0f);
  Optimizer optimizer{SGD{.lr = 1.0}, one.parameters(), {.lookahead = Lookahead{.k = 2}}};
  one.grad[0] = late.grad[0] = 1.0f;
  optimizer.step();
  optimizer.add_parameters(late.parameters("late"));
  optimizer.step();
  EXPECT_EQ(one.value[0], 3.0f);
  EXPECT_EQ(late.value[0], 7.0f);
  optimizer.step();
  EXPECT_EQ(late.value[0], 7.0f) << "halfway between 8 and 6";
}

TEST(LookaheadTest, ValuesOutOfRangeAreRefused) {
  One one(4.0f);
  const auto refusal = [&](const Lookahead& lookahead, std::initializer_list<std::string> words) {
    return refused([&] { Optimizer(SGD{}, one.parameters(), {.lookahead = lookahead}); }, words);
  };
  EXPECT_TRUE(refusal({.k = 0}, {"Lookahead.k must be at least 1, but is 0"}));
  EXPECT_TRUE(refusal({.k = -3}, {"Lookahead.k", "-3"}));
  for (const double alpha : {0.0, -0.5, 1.5, 1e-60, std::numeric_limits<double>::quiet_NaN()}) {
    EXPECT_TRUE(refusal({.alpha = alpha}, {"Lookahead.alpha must lie in (0, 1] in float32, but is "}));
  }
}

}  // namespace
}  // namespace onepass::test
