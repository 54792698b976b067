// golden_test.cpp - compares every schedule with PyTorch over 10,000 steps.
#include <gtest/gtest.h>

#include <algorithm>
#include <cmath>
#include <set>

#include "schedules/golden_schedules.hpp"
#include "support/named.hpp"

namespace onepass::test {
namespace {

class GoldenSchedule : public testing::TestWithParam<NamedSchedule> {
 protected:
  static GoldenCase golden() {
    for (GoldenCase& one : golden_cases()) {
      if (one.name == GetParam().name) return std::move(one);
    }
    ADD_FAILURE() << "schedules.txt has no " << GetParam().name;
    return {};
  }
};

// The documented tolerance: 1e-6 relative, or 1e-12 of the base rate near zero.
TEST_P(GoldenSchedule, AgreesWithPyTorch) {
  const GoldenCase golden = this->golden();
  ASSERT_EQ(golden.rates.back().step, 10000);
  for (const GoldenRates& wanted : golden.rates) {
    const double lr = GetParam().schedule.lr(golden.base_lr, wanted.step);
    ASSERT_LE(std::fabs(lr - wanted.lr), std::max(1e-6 * std::fabs(wanted.lr), 1e-12 * golden.base_lr))
        << "step " << wanted.step << ": expected " << wanted.lr << ", is " << lr;
  }
}

// The difference that rounding explains between two computations in double. A power by squaring is off by at
// most exponent * 2^-53 of its value, here 10^4 * 1.1e-16 = 1.1e-12. PyTorch rounds its angle pi t / T up to
// three times, by 2^-53 of it each; at t / T = 270 that is 3e-13, and changes the rate by half as much. If
// PyTorch was stepped, each of 10^4 steps rounds a few times without a bias, which gives 1e-13 of the value.
// The exception is a cosine with a minimum, whose recursion divides by numbers close to 0 (generate.py prints
// up to 7e-12 of the base rate).
TEST_P(GoldenSchedule, DiffersFromPyTorchByRoundingOnly) {
  const GoldenCase golden = this->golden();
  const bool recursive_cosine = golden.name == "wsd_cosine";
  const double near_zero = recursive_cosine ? 2e-11 : 3e-13;
  for (const GoldenRates& wanted : golden.rates) {
    const double lr = GetParam().schedule.lr(golden.base_lr, wanted.step);
    ASSERT_LE(std::fabs(lr - wanted.lr), 1.3e-12 * std::fabs(wanted.lr) + near_zero * golden.base_lr)
        << "step " << wanted.step << ": expected " << wanted.lr << ", is " << lr;
  }
}

TEST_P(GoldenSchedule, DrivesTheMomentumAsPyTorchDoes) {
  const GoldenCase golden = this->golden();
  for (const GoldenRates& wanted : golden.rates) {
    const Rates rates = GetParam().schedule.rates(golden.base_lr, wanted.step);
    ASSERT_EQ(rates.drives_momentum, wanted.momentum.has_value()) << "step " << wanted.step;
    ASSERT_EQ(GetParam().schedule.drives_momentum(), wanted.momentum.has_value());
    ASSERT_NEAR(rates.momentum, wanted.momentum.value_or(0.0), 1e-12) << "step " << wanted.step;
  }
}

INSTANTIATE_TEST_SUITE_P(All, GoldenSchedule, testing::ValuesIn(golden_schedules()), by_name);

TEST(GoldenSchedules, ListAndGoldenFileHaveTheSameNames) {
  std::set<std::string> asked, answered;
  for (const NamedSchedule& one : golden_schedules()) asked.insert(one.name);
  for (const GoldenCase& one : golden_cases()) answered.insert(one.name);
  EXPECT_EQ(asked, answered);
}

}  // namespace
}  // namespace onepass::test
