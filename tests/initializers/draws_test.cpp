// draws_test.cpp - initializers follow their formulas element by element, and samples have the distribution.
#include <gtest/gtest.h>

#include <cmath>
#include <vector>

#include "onepass/initializers/initialize.hpp"
#include "support/numbers/compare.hpp"
#include "support/numbers/random_reference.hpp"
#include "support/numbers/statistics.hpp"

namespace onepass::test {
namespace {

using namespace onepass::initializers;  // NOLINT: the names under test
using reference::Long;

constexpr std::uint64_t kSeed = 0x1234567890abcdef;
constexpr std::uint32_t kTensor = 0xfedcba98;
constexpr std::int64_t kSample = 1'000'000;

std::vector<float> drawn(const Initializer& initializer, const std::vector<std::int64_t>& shape) {
  std::int64_t numel = 1;
  for (const std::int64_t size : shape) numel *= size;
  std::vector<float> values(static_cast<std::size_t>(numel), 777.0f);
  initialize(values, shape, initializer, {.seed = kSeed, .tensor = kTensor});
  return values;
}

constexpr reference::Place kPlace{kSeed, reference::kInitialization, 0, kTensor};

/// Expects every element within 2 ulp of formula(index).
template <class Formula>
void expect_elements(const Initializer& initializer, const std::vector<std::int64_t>& shape,
                     Formula formula) {
  const std::vector<float> values = drawn(initializer, shape);
  for (std::size_t i = 0; i < values.size(); ++i) {
    const auto wanted = static_cast<float>(formula(i));
    ASSERT_LE(ulp_distance(values[i], wanted), 2)
        << i << ": " << shown(values[i]) << ", not " << shown(wanted);
  }
}

Long uniform_reference(std::size_t i, Long low, Long high) {
  return low + (reference::word(kPlace, i) >> 8) / 0x1p24L * (high - low);
}

TEST(Draws, UniformFollowsItsFormula) {
  expect_elements(Uniform{}, {4099}, [](std::size_t i) { return uniform_reference(i, 0, 1); });
  expect_elements(Uniform{.low = -3.0, .high = 5.5}, {4099},
                  [](std::size_t i) { return uniform_reference(i, -3.0L, 5.5L); });
  const float bound = static_cast<float>(std::sqrt(6.0 / (37 + 111)));
  expect_elements(XavierUniform{}, {37, 111},
                  [&](std::size_t i) { return uniform_reference(i, -bound, bound); });
}

TEST(Draws, NormalFollowsItsFormula) {
  expect_elements(Normal{}, {20'003}, [](std::size_t i) { return reference::normal(kPlace, i); });
  expect_elements(Normal{.mean = 10.0, .std = 0.1}, {5001},
                  [](std::size_t i) { return 10 + static_cast<Long>(0.1) * reference::normal(kPlace, i); });
  expect_elements(KaimingNormal{}, {64, 3, 7, 7},
                  [](std::size_t i) { return std::sqrt(2 / 147.0L) * reference::normal(kPlace, i); });
}

TEST(Draws, TruncatedNormalFollowsItsFormula) {
  struct Case {
    double mean, std, a, b;
  };
  for (const Case& one : {Case{0.0, 1.0, -2.0, 2.0}, Case{0.0, 0.02, -2.0, 2.0}, Case{1.0, 2.0, 0.5, 9.0},
                          Case{0.0, 1.0, 3.0, 4.0}, Case{0.0, 1.0, -9.0, -6.0}}) {
    SCOPED_TRACE(one.a);
    expect_elements(TruncatedNormal{one.mean, one.std, one.a, one.b}, {3001}, [&](std::size_t i) {
      const Long u = reference::open(reference::word(kPlace, i));
      const Long low = (static_cast<Long>(one.a) - one.mean) / one.std;
      const Long high = (static_cast<Long>(one.b) - one.mean) / one.std;
      return one.mean + one.std * reference::truncated_normal(u, low, high);
    });
  }
}

TEST(Draws, ConstantsAreExact) {
  EXPECT_TRUE(equal_bits(std::vector<float>(7, 0.0f), drawn(Zeros{}, {7})));
  EXPECT_TRUE(equal_bits(std::vector<float>(7, 1.0f), drawn(Ones{}, {7})));
  EXPECT_TRUE(equal_bits(std::vector<float>(7, -0.1f), drawn(Constant{-0.1}, {7})));
  EXPECT_TRUE(equal_bits(std::vector<float>(7, 2.5f), drawn(Uniform{2.5, 2.5}, {7})));
  EXPECT_TRUE(equal_bits(std::vector<float>(7, 2.5f), drawn(Normal{2.5, 0.0}, {7})));
}

TEST(Draws, UniformIncludesLowAndExcludesHigh) {
  // Only two floats lie in [low, high). Half of all numbers would round to high, which must not be returned.
  const float low = 1.0f, next = 1.0f + 0x1p-23f, high = 1.0f + 0x1p-22f;
  int lows = 0;
  for (const float x : drawn(Uniform{low, high}, {10'000})) {
    ASSERT_TRUE(x == low || x == next) << shown(x);
    lows += x == low ? 1 : 0;
  }
  EXPECT_GT(lows, 0);
  for (const float x : drawn(Uniform{-1e-3, 1e-3}, {100'000})) {
    ASSERT_GE(x, -1e-3f);
    ASSERT_LT(x, 1e-3f);
  }
}

TEST(Draws, TruncatedNormalStaysWithinItsBounds) {
  for (const float x : drawn(TruncatedNormal{.std = 1.0, .a = 0.1, .b = 0.1000001}, {10'000})) {
    ASSERT_GE(x, 0.1f);
    ASSERT_LE(x, 0.1000001f);
  }
}

TEST(Draws, EyeAndDiracPlaceTheirOnesAsPyTorchDoes) {
  const std::vector<float> eye = drawn(Eye{}, {3, 5});
  for (std::size_t i = 0; i < 15; ++i) EXPECT_EQ(eye[i], i / 5 == i % 5 ? 1.0f : 0.0f) << i;
  // torch.nn.init.dirac_(torch.empty(4, 3, 3, 2), groups=2) puts ones at (g * 2 + d, d, 1, 1) for d in 0, 1.
  const std::vector<float> dirac = drawn(Dirac{.groups = 2}, {4, 3, 3, 2});
  for (std::size_t i = 0; i < dirac.size(); ++i) {
    const std::size_t out = i / 18, in = i / 6 % 3, row = i / 2 % 3, column = i % 2;
    EXPECT_EQ(dirac[i], in == out % 2 && row == 1 && column == 1 ? 1.0f : 0.0f) << i;
  }
}

// In a sample of n values with variance v and kurtosis k, the mean has the standard error sqrt(v / n) and the
// variance has v sqrt((k - 1) / n). Skewness and kurtosis of a normal sample have sqrt(6 / n) and
// sqrt(24 / n). A correct sample exceeds 4.5 standard errors once in 150,000.
TEST(Sample, UniformHasItsMeanVarianceAndDistribution) {
  const std::vector<float> sample = drawn(Uniform{-2.0, 6.0}, {kSample});
  const Moments m = moments(sample);
  const double variance = 64.0 / 12.0;
  EXPECT_NEAR(m.mean, 2.0, 4.5 * std::sqrt(variance / kSample));
  EXPECT_NEAR(m.variance, variance, 4.5 * variance * std::sqrt((1.8 - 1.0) / kSample));
  EXPECT_LT(distance_to(sample, [](double x) { return (x + 2.0) / 8.0; }), distance_limit(sample.size()));
}

TEST(Sample, NormalHasItsFourMomentsAndDistribution) {
  const std::vector<float> sample = drawn(Normal{3.0, 0.5}, {kSample});
  const Moments m = moments(sample);
  EXPECT_NEAR(m.mean, 3.0, 4.5 * 0.5 / std::sqrt(kSample));
  EXPECT_NEAR(m.variance, 0.25, 4.5 * 0.25 * std::sqrt(2.0 / kSample));
  EXPECT_NEAR(m.skewness, 0.0, 4.5 * std::sqrt(6.0 / kSample));
  EXPECT_NEAR(m.kurtosis, 3.0, 4.5 * std::sqrt(24.0 / kSample));
  const auto share = [](double x) { return static_cast<double>(reference::share_below((x - 3.0) / 0.5)); };
  EXPECT_LT(distance_to(sample, share), distance_limit(sample.size()));
}

/// Share below x of a standard normal distribution truncated at a and b.
double truncated_share(double x, double a, double b) {
  const Long low = reference::share_below(a);
  return static_cast<double>((reference::share_below(x) - low) / (reference::share_below(b) - low));
}

TEST(Sample, TruncatedNormalHasItsDistribution) {
  const std::vector<float> sample = drawn(TruncatedNormal{.std = 2.0, .a = -4.0, .b = 1.0}, {kSample});
  EXPECT_LT(distance_to(sample, [](double x) { return truncated_share(x / 2.0, -2.0, 0.5); }),
            distance_limit(sample.size()));
}

// Checks the variance in both conventions. 2.4 is the kurtosis of the truncated distribution, rounded up.
TEST(Sample, TruncatedNormalHasTheVarianceOfEachConvention) {
  const double variance = 0.87962566103423978 * 0.87962566103423978, error = std::sqrt((2.4 - 1.0) / kSample);
  const Moments uncorrected = moments(drawn(TruncatedNormal{}, {kSample}));
  EXPECT_NEAR(uncorrected.mean, 0.0, 4.5 / std::sqrt(kSample));
  EXPECT_NEAR(uncorrected.variance, variance, 4.5 * variance * error);
  const std::vector<float> sample =
      drawn(VariancePreservingTruncatedNormal{.mean = 1.0, .std = 0.1}, {kSample});
  const Moments corrected = moments(sample);
  EXPECT_NEAR(corrected.mean, 1.0, 4.5 * 0.1 / std::sqrt(kSample));
  EXPECT_NEAR(corrected.variance, 0.01, 4.5 * 0.01 * error);
  const double uncut = 0.1 / 0.87962566103423978;
  EXPECT_LT(distance_to(sample, [&](double x) { return truncated_share((x - 1.0) / uncut, -2.0, 2.0); }),
            distance_limit(sample.size()));
}

TEST(Sample, InitializersWithFansHaveTheirVariance) {
  const double error = 4.5 * std::sqrt(2.0 / 1'048'576);
  const auto variance = [](const Initializer& initializer) {
    return moments(drawn(initializer, {512, 2048})).variance;
  };
  EXPECT_NEAR(variance(XavierUniform{}) * 1280, 1.0, error);
  EXPECT_NEAR(variance(XavierNormal{}) * 1280, 1.0, error);
  EXPECT_NEAR(variance(KaimingUniform{}) * 2048 / 2, 1.0, error);
  EXPECT_NEAR(variance(KaimingNormal{}) * 2048 / 2, 1.0, error);
  EXPECT_NEAR(variance(LecunUniform{}) * 2048, 1.0, error);
  EXPECT_NEAR(variance(LecunNormal{}) * 2048, 1.0, error);
}

// Four neighbours come from one Philox draw, and two of them from one Box-Muller pair. They must be
// uncorrelated all the same.
TEST(Sample, NeighboursAreNotCorrelated) {
  const std::vector<float> sample = drawn(Normal{}, {kSample});
  for (const std::size_t lag : {1u, 2u, 3u, 4u, 64u, 256u}) {
    double sum = 0.0, of_squares = 0.0;
    for (std::size_t i = lag; i < sample.size(); ++i) {
      const double x = sample[i], y = sample[i - lag];
      sum += x * y;
      of_squares += (x * x - 1.0) * (y * y - 1.0) / 2.0;
    }
    EXPECT_LT(std::fabs(sum), 4.5 * std::sqrt(kSample)) << lag;
    EXPECT_LT(std::fabs(of_squares), 4.5 * std::sqrt(kSample)) << lag;
  }
}

}  // namespace
}  // namespace onepass::test
