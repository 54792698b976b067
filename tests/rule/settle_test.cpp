// settle_test.cpp - where the gradient is 0, a step that settles ends averages before they become denormal;
// where it is not 0, it changes nothing.
#include <gtest/gtest.h>

#include <cfloat>
#include <cmath>

#include "onepass/onepass.hpp"
#include "onepass/rule/element.hpp"
#include "support/numbers/compare.hpp"
#include "support/numbers/values.hpp"

namespace onepass::test {
namespace {

using rule::Extras;

rule::TensorCoefficients<AdamW> coefficients_of(std::int64_t step) {
  const AdamW rule{.lr = 1e-3, .weight_decay = 0.1};
  return {.step = {}, .around = rule::Around::prepare(rule, {}, step), .rule = rule.prepare(16)};
}

struct Moved {
  float p, exp_avg, exp_avg_sq;

  Moved(std::int64_t step, float p, float g, float exp_avg, float exp_avg_sq)
      : p(p), exp_avg(exp_avg), exp_avg_sq(exp_avg_sq) {
    const auto k = coefficients_of(step);
    rule::move<Adam::Plain, false, Extras::settle>(k, this->p, g, this->exp_avg, this->exp_avg_sq);
  }
};

float small(std::uint64_t key) {  // of both signs, from 2^-149 to 2^-60
  const double size = std::ldexp(1.0 + uniform(key), static_cast<int>(mix(key) % 90) - 149);
  return static_cast<float>((mix(key + 7) & 1) != 0 ? size : -size);
}

TEST(Settle, ChangesNothingWhereTheGradientIsNotZero) {
  for (std::uint64_t key = 0; key < 20000; ++key) {
    const float p = small(key), g = small(key + 1), m = small(key + 2), v = std::fabs(small(key + 3));
    const Moved usual(15, p, g, m, v), settling(16, p, g, m, v);
    ASSERT_TRUE(same_bits(usual.p, settling.p)) << shown(p);
    ASSERT_TRUE(same_bits(usual.exp_avg, settling.exp_avg)) << shown(m);
    ASSERT_TRUE(same_bits(usual.exp_avg_sq, settling.exp_avg_sq)) << shown(v);
  }
}

TEST(Settle, EndsSmallNumbersWhereTheGradientIsZeroAndLeavesOthers) {
  const auto settled = [](float x) { return std::fabs(x) < 0x1p-100f ? 0.0f : x; };
  for (std::uint64_t key = 0; key < 20000; ++key) {
    const float p = small(key), m = small(key + 2), v = std::fabs(small(key + 3));
    for (const float zero : {0.0f, -0.0f}) {
      // Rules divide by the root of the second moment, which therefore does not become 0.
      const float least = v > 0.0f && v < 0x1p-120f ? 0x1p-120f : v;
      const Moved expected(15, settled(p), zero, settled(m), least), actual(16, p, zero, m, v);
      ASSERT_TRUE(same_bits(expected.p, actual.p)) << shown(p);
      ASSERT_TRUE(same_bits(expected.exp_avg, actual.exp_avg)) << shown(m);
      ASSERT_TRUE(same_bits(expected.exp_avg_sq, actual.exp_avg_sq)) << shown(v);
    }
  }
}

TEST(Settle, LeavesNaNAndInfinity) {
  const Moved nan(16, 1.0f, 0.0f, std::nanf(""), 1.0f), infinite(16, HUGE_VALF, 0.0f, 0.0f, HUGE_VALF);
  EXPECT_TRUE(std::isnan(nan.exp_avg));
  EXPECT_TRUE(std::isnan(infinite.exp_avg_sq));
}

TEST(Settle, LeavesParametersThatDoNotDecay) {
  const Adam rule{.lr = 1e-3};
  const rule::TensorCoefficients<Adam> k{
      .step = {}, .around = rule::Around::prepare(rule, {}, 16), .rule = rule.prepare(16)};
  float p = 1e-40f, m = 0.0f, v = 0.0f;
  rule::move<Adam::Plain, false, Extras::settle>(k, p, 0.0f, m, v);
  EXPECT_EQ(p, 1e-40f);
}

}  // namespace
}  // namespace onepass::test
