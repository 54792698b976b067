// bad_input_test.cpp - initialize() refuses invalid input with a message and writes nothing.
#include <gtest/gtest.h>

#include <cmath>
#include <limits>
#include <vector>

#include "onepass/initializers/initialize.hpp"
#include "support/numbers/compare.hpp"
#include "support/refusal.hpp"

namespace onepass::test {
namespace {

using namespace onepass::initializers;  // NOLINT: the names under test
using Words = std::initializer_list<std::string>;

constexpr double kNaN = std::numeric_limits<double>::quiet_NaN();
constexpr double kInf = std::numeric_limits<double>::infinity();

/// Expects a refusal that leaves all 24 elements as they were.
void expect_refused(const Initializer& initializer, const std::vector<std::int64_t>& shape, Words words,
                    const RandomKey& key = {}) {
  std::vector<float> values(24, 3.0f);
  EXPECT_TRUE(refused([&] { initialize(values, shape, initializer, key); }, words));
  EXPECT_TRUE(equal_bits(std::vector<float>(24, 3.0f), values));
}

TEST(InitializeBadInput, RefusesNumbersOutOfRange) {
  expect_refused(Constant{kNaN}, {24}, {"Constant.value", "nan"});
  expect_refused(Constant{1e39}, {24}, {"Constant.value", "1e+39"});
  expect_refused(Uniform{2.0, 1.0}, {24}, {"Uniform.low", "Uniform.high", "2", "1"});
  expect_refused(Uniform{-kInf, 1.0}, {24}, {"Uniform.low", "-inf"});
  expect_refused(Uniform{0.0, kNaN}, {24}, {"Uniform.high", "nan"});
  expect_refused(Normal{0.0, -1.0}, {24}, {"Normal.std", "-1"});
  expect_refused(Normal{kNaN, 1.0}, {24}, {"Normal.mean", "nan"});
  expect_refused(Normal{0.0, kNaN}, {24}, {"Normal.std", "nan"});
  expect_refused(XavierUniform{-0.5}, {4, 6}, {"XavierUniform.gain", "-0.5"});
  expect_refused(XavierNormal{kInf}, {4, 6}, {"XavierNormal.gain", "inf"});
  expect_refused(KaimingUniform{.a = kNaN}, {4, 6}, {"param", "nan"});
  expect_refused(KaimingNormal{.a = kInf}, {4, 6}, {"param", "inf"});
  expect_refused(Orthogonal{kNaN}, {4, 6}, {"Orthogonal.gain", "nan"});
  expect_refused(Dirac{0}, {4, 2, 3}, {"Dirac.groups", "4", "0"});
  expect_refused(Dirac{3}, {4, 2, 3}, {"Dirac.groups", "4", "3"});
}

// Every parameter is finite in float32, and a bound such as sqrt(3) * gain is not.
TEST(InitializeBadInput, RefusesDistributionsThatOverflowFloat32) {
  float value = 3.0f;
  const auto fill = [&](const Initializer& initializer) {
    initialize(Tensor(&value, 1), std::vector<std::int64_t>{1, 1}, initializer, {});
  };
  EXPECT_TRUE(refused([&] { fill(XavierUniform{3e38}); }, {"lower bound", "-5.19", "finite in float32"}));
  EXPECT_TRUE(
      refused([&] { fill(VariancePreservingTruncatedNormal{.std = 3e38}); }, {"lower bound", "-6.8"}));
  EXPECT_TRUE(refused([&] { fill(Normal{0.0, 1e38}); }, {"largest number", "6.7", "e+38"}));
  EXPECT_TRUE(refused([&] { fill(Normal{-3e38, 1e37}); }, {"largest number", "3.677e+38"}));
  EXPECT_TRUE(refused([&] { fill(XavierNormal{1e38}); }, {"largest number", "6.7", "e+38"}));
  EXPECT_EQ(value, 3.0f);
  fill(Normal{-1e38, 3e37});
  fill(XavierUniform{1e38});
  EXPECT_TRUE(std::isfinite(value));
}

TEST(InitializeBadInput, RefusesTruncationsThatLeaveNothing) {
  expect_refused(TruncatedNormal{.std = 0.0}, {24}, {"TruncatedNormal.std", "0"});
  expect_refused(TruncatedNormal{.std = 1e-50}, {24}, {"TruncatedNormal.std", "1e-50"});
  expect_refused(TruncatedNormal{.a = 1.0, .b = 1.0}, {24}, {"TruncatedNormal.a", "TruncatedNormal.b", "1"});
  expect_refused(TruncatedNormal{.a = kNaN}, {24}, {"TruncatedNormal.a", "nan"});
  expect_refused(TruncatedNormal{.a = 38.0, .b = 39.0}, {24}, {"38", "39", "1e-290"});
  expect_refused(TruncatedNormal{.a = -39.0, .b = -38.0}, {24}, {"-39", "-38", "1e-290"});
  expect_refused(VariancePreservingTruncatedNormal{.std = -1.0}, {24},
                 {"VariancePreservingTruncatedNormal.std", "-1"});
  EXPECT_NO_THROW(initialize(Tensor{}, {0}, TruncatedNormal{.a = 30.0, .b = 31.0}, {}));
}

TEST(InitializeBadInput, RefusesShapesThatDoNotFit) {
  expect_refused(XavierUniform{}, {24}, {"2 dimensions", "(24)"});
  expect_refused(LecunNormal{}, {24}, {"2 dimensions", "(24)"});
  expect_refused(Orthogonal{}, {24}, {"Orthogonal", "2 dimensions", "(24)"});
  expect_refused(Eye{}, {2, 3, 4}, {"Eye", "2 dimensions", "(2, 3, 4)"});
  expect_refused(Dirac{}, {4, 6}, {"Dirac", "3 to 5", "(4, 6)"});
  expect_refused(Normal{}, {5, 5}, {"(5, 5)", "25", "24"});
  expect_refused(Normal{}, {}, {"()", "1 element", "24"});
  expect_refused(Normal{}, {-4, -6}, {"(-4, -6)", "negative"});
  expect_refused(Normal{}, {1ll << 40, 1ll << 40}, {"2^63"});
  expect_refused(Normal{}, {1ll << 51}, {"2^50"});
}

TEST(InitializeBadInput, RefusesShardsOutsideTheTensor) {
  expect_refused(Normal{}, {30}, {"(30)", "24", "element 7"}, {.first = 7});
  expect_refused(Normal{}, {30}, {"(30)", "24", "element -1"}, {.first = -1});
  expect_refused(Normal{}, {30}, {"(30)"}, {.first = std::numeric_limits<std::int64_t>::max()});
  std::vector<float> values(24);
  EXPECT_NO_THROW(initialize(values, {30}, Normal{}, {.first = 6}));
}

TEST(InitializeBadInput, RefusesNullNegativeMisalignedAndMissingDeviceTensors) {
  std::vector<float> values(3);
  EXPECT_TRUE(refused([] { initialize(Tensor{nullptr, 4}, {4}, Normal{}, {}); }, {"tensor", "null", "4"}));
  EXPECT_TRUE(refused([&] { initialize(Tensor{values.data(), -1}, {1}, Normal{}, {}); }, {"tensor", "-1"}));
  Tensor crooked{values.data(), 1};
  crooked.data = reinterpret_cast<char*>(values.data()) + 1;
  EXPECT_TRUE(refused([&] { initialize(crooked, {1}, Normal{}, {}); }, {"tensor", "aligned", "4 bytes"}));
  EXPECT_TRUE(refused(
      [&] {
        initialize(Tensor{values.data(), 3, Device::cuda(99)}, {3}, Normal{}, {});
      },
      {"cuda:99"}));
}

}  // namespace
}  // namespace onepass::test
