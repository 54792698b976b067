// statistics_test.cpp - medians, quartiles, and ratios paired by round.
#include "bench/harness/statistics.hpp"

#include <gtest/gtest.h>

#include <stdexcept>

namespace onepass::bench {
namespace {

TEST(Spread, MedianAndQuartilesOfFiveSamplesAreSamples) {
  const Spread spread = spread_of({5, 1, 4, 2, 3});
  EXPECT_EQ(spread.low, 2);
  EXPECT_EQ(spread.median, 3);
  EXPECT_EQ(spread.high, 4);
}

TEST(Spread, MedianAndQuartilesOfFourSamplesLieBetweenThem) {
  const Spread spread = spread_of({4, 1, 2, 3});
  EXPECT_EQ(spread.low, 1.75);
  EXPECT_EQ(spread.median, 2.5);
  EXPECT_EQ(spread.high, 3.25);
}

TEST(Spread, QuartilesOfOneSampleAreThatSample) {
  const Spread spread = spread_of({7});
  EXPECT_EQ(spread.low, 7);
  EXPECT_EQ(spread.high, 7);
}

TEST(Spread, SpreadWithoutSamplesThrows) { EXPECT_THROW((void)spread_of({}), std::invalid_argument); }

// The machine is ten times slower in the second round, which does not change the ratio.
TEST(PairedRatio, RatioPairsSamplesOfTheSameRound) {
  const std::vector<double> a{2, 20, 2}, b{1, 10, 1};
  const Spread ratio = paired_ratio(a, b);
  EXPECT_EQ(ratio.median, 2);
  EXPECT_EQ(ratio.low, 2);
  EXPECT_EQ(ratio.high, 2);
}

TEST(PairedRatio, RatioOfDifferentNumbersOfRoundsThrows) {
  const std::vector<double> a{1, 2}, b{1};
  EXPECT_THROW((void)paired_ratio(a, b), std::invalid_argument);
}

}  // namespace
}  // namespace onepass::bench
