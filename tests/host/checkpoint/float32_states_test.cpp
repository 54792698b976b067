// float32_states_test.cpp - checkpoints of a rule that keeps a state in float32: the file says so, and the
// state keeps its bits in every other format, however the tensor is cut.
#include <gtest/gtest.h>

#include <cmath>

#include "support/checkpoint/files.hpp"
#include "support/formats/format_resume.hpp"
#include "support/formats/two_speeds.hpp"

namespace onepass::test {
namespace {

std::vector<FormatCase> formats() {
  std::vector<FormatCase> cases;
  for (const char* const name :
       {"float32", "f32_q8", "f32_bf16", "all_bf16", "bf16_split", "compact", "f16_q8"}) {
    cases.push_back(format_case(name));
  }
  return cases;
}

/// Slow averages are as large as fast ones, so that it matters which of them a format stores.
Optimizer optimizer_of(const FormatModel& model, const FormatCase& format) {
  return {TwoSpeeds{.beta3 = 0.5},
          model.parameters(),
          {.storage = format.low(), .float32_storage = format.wide(), .seed = 3}};
}

std::vector<float> numbers_of(const SavedParameter& saved, std::string_view state, std::size_t numel) {
  return decoded_state(state_of(saved, state), numel);
}

/// The fast averages of a parameter. With less than 32 bits, a format stores their differences from the slow
/// ones.
std::vector<float> fast_of(const SavedParameter& saved, const FormatCase& format, std::size_t numel) {
  std::vector<float> fast = numbers_of(saved, "fast_avg", numel);
  if (format.storage.states == States::float32) return fast;
  const std::vector<float> slow = numbers_of(saved, "slow_avg", numel);
  for (std::size_t i = 0; i < numel; ++i) fast[i] += slow[i];
  return fast;
}

void expect_converted(const FormatCase& from, const FormatCase& to) {
  SCOPED_TRACE(std::string(from.name) + " to " + to.name);
  const Folder folder;
  const FormatModel model(from, Device::cpu(), kFormatSizes), other(to, Device::cpu(), kFormatSizes);
  Optimizer saved = optimizer_of(model, from), loaded = optimizer_of(other, to);
  for (std::size_t t = 0; t < model.size(); ++t) {
    const auto numel = static_cast<std::size_t>(model.grad(t).tensor().numel);
    std::vector<float> gradient(numel);
    for (std::size_t i = 0; i < numel; ++i) gradient[i] = std::sin(0.7f * static_cast<float>(i + t));
    model.grad(t).write(gradient);
  }
  for (int step = 1; step <= 4; ++step) saved.step();
  save(folder / "run", saved);
  (void)load(folder / "run", loaded);
  const StateDict was = saved.state_dict(), is = loaded.state_dict();
  for (std::size_t t = 0; t < model.size(); ++t) {
    const auto numel = static_cast<std::size_t>(model.grad(t).tensor().numel);
    EXPECT_EQ(state_of(was.parameters[t], "slow_avg").bytes, state_of(is.parameters[t], "slow_avg").bytes);
    const std::vector<float> before = fast_of(was.parameters[t], from, numel),
                             after = fast_of(is.parameters[t], to, numel);
    // Numbers up to 1 are off by a code of 8 bits at most, 1.7% of the largest in their block.
    for (std::size_t i = 0; i < numel; ++i) ASSERT_NEAR(before[i], after[i], 0.017) << i;
  }
}

TEST(Float32StatesOfCheckpoints, KeepTheirBitsFromEveryFormatToEveryOther) {
  for (const FormatCase& from : formats()) {
    for (const FormatCase& to : formats()) expect_converted(from, to);
  }
}

TEST(Float32StatesOfCheckpoints, AreLoadedBitForBitWithTheOthers) {
  for (const FormatCase& format : all_format_cases()) {
    SCOPED_TRACE(format.name);
    const Folder folder;
    const FormatModel model(format, Device::cpu(), kFormatSizes), other(format, Device::cpu(), kFormatSizes);
    Optimizer saved = optimizer_of(model, format), loaded = optimizer_of(other, format);
    train(model, saved, 1, 3);
    save(folder / "run", saved);
    (void)load(folder / "run", loaded);
    EXPECT_TRUE(equal_dicts(saved.state_dict(), loaded.state_dict()));
    EXPECT_EQ(all_bytes(model, saved.state_dict()), all_bytes(other, loaded.state_dict()));
  }
}

// Element 45 divides a block of states in 8 bits, which is encoded anew.
TEST(Float32StatesOfCheckpoints, KeepTheirBitsWhereShardsDivideABlock) {
  for (const char* const name : {"f32_q8", "all_bf16", "compact"}) {
    SCOPED_TRACE(name);
    const Folder folder;
    const FormatCase& format = format_case(name);
    const FormatModel whole(format, Device::cpu(), {100}), parts(format, Device::cpu(), {45, 55}),
        again(format, Device::cpu(), {100});
    Optimizer saved = optimizer_of(whole, format), joined = optimizer_of(again, format);
    whole.draw_finite(1);
    saved.step();
    save(folder / "whole", saved);
    std::vector<float> slow;
    for (const std::int64_t first : {0, 45}) {
      Parameter part = parts.parameters()[first == 0 ? 0 : 1];
      part.name = "t0", part.first = first;
      Optimizer shard{TwoSpeeds{.beta3 = 0.5},
                      std::vector{part},
                      {.storage = format.low(), .float32_storage = format.wide()}};
      (void)load(folder / "whole", shard, {.shards = true});
      save(folder / std::to_string(first), shard);
      for (const float one : numbers_of(shard.state_dict().parameters[0], "slow_avg",
                                        static_cast<std::size_t>(part.value.numel))) {
        slow.push_back(one);
      }
    }
    EXPECT_EQ(slow, numbers_of(saved.state_dict().parameters[0], "slow_avg", 100));
    (void)load({folder / "0", folder / "45"}, joined);
    EXPECT_EQ(slow, numbers_of(joined.state_dict().parameters[0], "slow_avg", 100));
  }
}

TEST(Float32StatesOfCheckpoints, AreNamedInTheFileWhereTheyDifferFromTheOthers) {
  const Folder folder;
  const std::string slow = R"({\"format\":\"float32\",\"name\":\"slow_avg\")",
                    fast = R"({\"name\":\"fast_avg\")";
  for (const char* const name : {"float32", "f32_q8"}) {
    const FormatModel model(format_case(name), Device::cpu(), {40});
    save(folder / name, optimizer_of(model, format_case(name)));
    const std::string header = header_of(bytes_of(folder / name));
    EXPECT_EQ(header.find(slow) != std::string::npos, std::string_view(name) == "f32_q8") << header;
    EXPECT_NE(header.find(fast), std::string::npos) << header;
  }
}

}  // namespace
}  // namespace onepass::test
