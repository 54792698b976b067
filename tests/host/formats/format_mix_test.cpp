// format_mix_test.cpp - an optimizer with tensors in several formats gives the bits of separate optimizers,
// in any order of tensors and on any number of threads.
#include <gtest/gtest.h>

#include "support/formats/format_mix.hpp"
#include "support/named.hpp"

namespace onepass::test {
namespace {

class FormatMix : public testing::TestWithParam<FormatCase> {};

INSTANTIATE_TEST_SUITE_P(All, FormatMix, testing::ValuesIn(format_cases()), by_name);

TEST_P(FormatMix, OneOptimizerForAllGivesTheBitsOfOneForEach) {
  for (const RuleCase& rule : one_case_per_layout()) {
    if (rule.ties_parameters()) continue;
    SCOPED_TRACE(rule.name);
    const MixedFormats mix(GetParam(), Device::cpu());
    std::vector<Optimizer> each;
    for (const Parameter& parameter : mix.parameters()) {
      each.push_back(rule.make({parameter}, mix.options_for(parameter)));
    }
    ASSERT_EQ(mix.after_steps(each), together(rule, GetParam(), Device::cpu()));
  }
}

// Random bits depend on a tensor's name, not on its position.
TEST_P(FormatMix, OrderOfTensorsDoesNotChangeABit) {
  for (const RuleCase& rule : one_case_per_layout()) {
    SCOPED_TRACE(rule.name);
    const MixedFormats mix(GetParam(), Device::cpu());
    std::vector<Parameter> parameters = mix.parameters();
    std::ranges::reverse(parameters);
    std::vector<Optimizer> one;
    one.push_back(rule.make(parameters, mix.options()));
    ASSERT_EQ(mix.after_steps(one), together(rule, GetParam(), Device::cpu()));
  }
}

// Every format stands beside every other, by the storage of each parameter.
TEST(EveryFormat, InOneOptimizerHasTheBitsItHasAlone) {
  for (const RuleCase& rule : one_case_per_layout()) {
    if (rule.ties_parameters()) continue;
    SCOPED_TRACE(rule.name);
    const MixedFormats mix(all_format_cases(), Device::cpu());
    std::vector<Optimizer> each, one;
    for (const Parameter& parameter : mix.parameters()) each.push_back(rule.make({parameter}, {.seed = 7}));
    const BytesByName alone = mix.after_steps(each);
    const MixedFormats twin(all_format_cases(), Device::cpu());
    one.push_back(rule.make(twin.parameters(), {.chunk_size = 64, .seed = 7}));
    ASSERT_EQ(alone, twin.after_steps(one));
  }
}

std::vector<std::byte> after_two_steps(const RuleCase& rule, const FormatCase& format,
                                       const Options& options) {
  const FormatModel model(format, Device::cpu(), {40001, 20000, 5003});
  Optimizer optimizer = rule.make(model.parameters(), options);
  for (int step = 1; step <= 2; ++step) {
    model.draw(step, 30);
    optimizer.step();
  }
  EXPECT_TRUE(model.intact());
  return all_bytes(model, optimizer.state_dict());
}

// Small steps stay on the caller's thread. In this one, each of three threads gets over 20 Ki elements.
TEST_P(FormatMix, ThreadsDoNotChangeABitWhenTheyShareTheWork) {
  for (const RuleCase& rule : one_case_per_layout()) {
    SCOPED_TRACE(rule.name);
    Options options{.threads = 1,
                    .storage = GetParam().low(),
                    .float32_storage = GetParam().wide(),
                    .seed = 7,
                    .ema = EMA{.decay = 0.9, .dtype = DType::bfloat16}};
    const std::vector<std::byte> alone = after_two_steps(rule, GetParam(), options);
    options.threads = 3;
    for (const std::int64_t chunk_size : {0, 576}) {
      options.chunk_size = chunk_size;
      ASSERT_EQ(alone, after_two_steps(rule, GetParam(), options)) << "chunks of " << chunk_size;
    }
  }
}

}  // namespace
}  // namespace onepass::test
