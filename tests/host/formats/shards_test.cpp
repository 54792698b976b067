// shards_test.cpp - in every format, shards compute what the whole tensor does, however it is cut.
#include <gtest/gtest.h>

#include <cmath>

#include "support/formats/sharded.hpp"
#include "support/named.hpp"

namespace onepass::test {
namespace {

constexpr std::int64_t kRows = 9, kColumns = 77, kNumel = kRows * kColumns;

class FormatShards : public testing::TestWithParam<FormatCase> {};
INSTANTIATE_TEST_SUITE_P(All, FormatShards, testing::ValuesIn(all_format_cases()), by_name);

/// Random cuts into 1 to 7 shards, by elements and by columns, with and without divided blocks.
std::vector<Places> random_cuts(std::uint64_t seed) {
  std::vector<Places> cuts;
  for (int count = 1; count <= 7; ++count) {
    const std::uint64_t drawn = mix(seed) + static_cast<std::uint64_t>(count);
    cuts.push_back(cut_by_elements(kNumel, count, count % 3 == 0 ? 32 : 1, drawn));
    cuts.push_back(cut_by_columns(kRows, kColumns, count, 1, drawn + 100));
  }
  return cuts;
}

constexpr int kSteps = 3;

void expect_whole(const RuleCase& rule, const FormatCase& format, const Places& cut, const Options& options,
                  int steps = kSteps) {
  Sharded whole(rule, format, Device::cpu(), {{kNumel, 0}}, options);
  Sharded shards(rule, format, Device::cpu(), cut, options);
  for (int step = 1; step <= steps; ++step) whole.step(step), shards.step(step);
  ASSERT_TRUE(equal_elements(whole, shards, format)) << cut.size() << " shards, run " << cut[0].run;
}

/// With an average of bfloat16, every format draws random bits.
Options options_of(Isa isa, DType ema) {
  return {.chunk_size = 128, .threads = 1, .isa = isa, .seed = 11, .ema = EMA{.decay = 0.9, .dtype = ema}};
}

TEST_P(FormatShards, HaveTheBitsOfTheWholeHoweverItIsCut) {
  std::uint64_t seed = 0;
  for (const RuleCase& rule : one_case_per_layout()) {
    for (const Isa isa : {Isa::baseline, Isa::avx2, Isa::avx512, Isa::avx512_bf16}) {
      if (!isa_available(isa)) continue;
      SCOPED_TRACE(testing::Message() << rule.name << " by " << to_string(isa));
      ++seed;
      const std::vector<Places> cuts = random_cuts(seed);
      const Options options = options_of(isa, seed % 2 == 0 ? DType::float32 : DType::bfloat16);
      for (std::size_t i = seed % 3; i < cuts.size(); i += 3) {
        expect_whole(rule, GetParam(), cuts[i], options);
        if (HasFatalFailure()) return;
      }
    }
  }
}

// Each row of a column has a chunk of its own, which lies in one block.
TEST_P(FormatShards, OfOneColumnHaveTheBitsOfTheWhole) {
  Places columns;
  for (std::int64_t column = 0; column < kColumns; ++column) columns.push_back({kRows, column, 1, kColumns});
  expect_whole(one_case_per_layout().front(), GetParam(), columns, options_of(Isa::best, DType::bfloat16));
}

// Step 16 settles, and elements whose gradients stay 0 have settled by then.
TEST_P(FormatShards, SettleAsTheWhole) {
  expect_whole(last_case_of("AdamW"), GetParam(), cut_by_columns(kRows, kColumns, 3, 1, 5),
               options_of(Isa::best, DType::bfloat16), 17);
}

TEST_P(FormatShards, StepInMemoryOfTheCallerAndAccumulate) {
  const RuleCase rule = rule_case("AdamW", AdamW{.weight_decay = 0.1});
  Options options = options_of(Isa::best, DType::bfloat16);
  options.accumulates_gradients = true;
  const Places cut = cut_by_columns(kRows, kColumns, 4, 1, 8);
  Sharded whole(rule, GetParam(), Device::cpu(), {{kNumel, 0}}, options);
  Sharded shards(rule, GetParam(), Device::cpu(), cut, options);
  Sharded given(rule, GetParam(), Device::cpu(), cut, options, true);
  for (int step = 1; step <= kSteps; ++step) whole.step(step), shards.step(step), given.step(step);
  ASSERT_TRUE(equal_elements(whole, shards, GetParam()));
  ASSERT_EQ(shards.elements(), given.elements());
}

TEST_P(FormatShards, OfAMatrixWhoseRowsAreWholeBlocksHaveAllBitsOfTheWhole) {
  constexpr std::int64_t kWide = 160, kHigh = 5;
  const RuleCase rule = rule_case("AdamW", AdamW{.weight_decay = 0.1});
  const Places cut = cut_by_columns(kHigh, kWide, 4, 32, 3);
  const std::vector<bool> divided = divided_elements(cut, kWide * kHigh);
  ASSERT_TRUE(std::ranges::none_of(divided, [](bool one) { return one; }));
  const Options options = options_of(Isa::best, DType::bfloat16);
  Sharded whole(rule, GetParam(), Device::cpu(), {{kWide * kHigh, 0}}, options);
  Sharded shards(rule, GetParam(), Device::cpu(), cut, options);
  for (int step = 1; step <= kSteps; ++step) whole.step(step), shards.step(step);
  ASSERT_TRUE(equal_elements(whole, shards, GetParam()));
}

// Without eps, the step of an element whose gradient and states are 0 is 0 / 0. A loop steps a part of a
// block in a copy of the whole block, and the other elements of the copy are such elements.
TEST(QuantizedShards, ElementsBesideAShardDoNotAffectItsScale) {
  constexpr std::int64_t kCount = 40;
  for (const char* const name : {"compact", "f32_q8"}) {
    for (const Isa isa : {Isa::baseline, Isa::avx2, Isa::avx512}) {
      if (!isa_available(isa)) continue;
      SCOPED_TRACE(testing::Message() << name << " by " << to_string(isa));
      const FormatCase& format = format_case(name);
      const FormatBuffer value(Device::cpu(), format.param, kCount, 0),
          grad(Device::cpu(), format.grad, kCount, 0);
      value.write(std::vector<float>(kCount, 1.0f));
      grad.write(std::vector<float>(kCount, 0.5f));
      Optimizer optimizer{RMSProp{.lr = 1e-2, .eps = 0.0, .momentum = 0.9},
                          std::vector<Parameter>{{.name = "w",
                                                  .value = value.tensor(),
                                                  .grad = grad.tensor(),
                                                  .first = 5,
                                                  .run = 20,
                                                  .pitch = 49}},
                          {.isa = isa, .storage = format.low(), .float32_storage = format.wide()}};
      for (int step = 0; step < 3; ++step) optimizer.step();
      for (const float element : value.floats()) EXPECT_LT(element, 1.0f);
    }
  }
}

// Parts of a block have scales of their own, so their states of 8 bits differ from those of the whole by the
// errors of both codecs. A code of Signed8 is off by less than scale * 2^k / 472, with 2^k <= 8 at most, plus
// 2^-22 of the scale (quantized8.hpp): by less than e = scale / 58. The scale is at most 1 + 2^-7 times the
// largest magnitude in the block, and a part's scale is no larger than the whole's. Momentum is
// b = 0.9 b + g, so after n steps two buffers are less than 2 e (1 + 0.9 + ...) < 20 e apart, where e is that
// of the largest magnitude M that the block had in any step. The parameter moves by lr * b, so n steps take
// the parameters less than n * lr * 20 e apart, and rounding in float32 (parameters below 2, a few operations
// in each step) adds less than n * 2^-20.
TEST(QuantizedShards, DifferFromTheWholeByLessThanTheirCodecsDo) {
  const FormatCase& format = format_case("f32_q8");
  const RuleCase rule = rule_case("SGD", SGD{.lr = 0.01, .momentum = 0.9});
  constexpr int kMany = 12;
  bool any_differs = false;
  for (const Places& cut : random_cuts(99)) {
    const Options options{.seed = 3};
    Sharded whole(rule, format, Device::cpu(), {{kNumel, 0}}, options);
    Sharded shards(rule, format, Device::cpu(), cut, options);
    std::vector<double> largest((kNumel + kBlock - 1) / kBlock), bound(static_cast<std::size_t>(kNumel));
    std::vector<double> exact(static_cast<std::size_t>(kNumel));
    for (int step = 1; step <= kMany; ++step) {
      whole.step(1000 + step, 200), shards.step(1000 + step, 200);
      std::vector<float> gradients(static_cast<std::size_t>(kNumel));
      draw_gradient(gradients, 1, 1000 + step, 200);
      for (std::size_t i = 0; i < exact.size(); ++i) {
        exact[i] = 0.9 * exact[i] + gradients[i];
        // A stored buffer is less than 10 e from the exact one, and 10 e is less than a fifth of M.
        largest[i / kBlock] = std::max(largest[i / kBlock], 1.25 * std::abs(exact[i]));
      }
    }
    const std::vector<float> expected = whole.values(), actual = shards.values();
    const std::vector<bool> divided = divided_elements(cut, kNumel);
    for (std::size_t i = 0; i < expected.size(); ++i) {
      const double e = (1 + 0x1p-7) * largest[i / kBlock] / 58;
      const double most = divided[i] ? kMany * (0.01 * 20 * e + 0x1p-20) : 0.0;
      ASSERT_LE(std::abs(double{expected[i]} - double{actual[i]}), most) << i;
      any_differs = any_differs || expected[i] != actual[i];
    }
  }
  EXPECT_TRUE(any_differs);
}

}  // namespace
}  // namespace onepass::test
