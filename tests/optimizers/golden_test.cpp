// golden_test.cpp - every rule and its reference agree with another implementation, in float64, of the same
// rule: golden/RULE.txt, which golden/make_golden.py wrote.
#include <gtest/gtest.h>

#include <filesystem>
#include <string>

#include "optimizers/golden_replay.hpp"
#include "support/named.hpp"

namespace onepass::test {
namespace {

const std::filesystem::path kFolder = ONEPASS_OPTIMIZERS_GOLDEN;

class Golden : public testing::TestWithParam<GoldenRun> {};
INSTANTIATE_TEST_SUITE_P(Rules, Golden, testing::ValuesIn(golden_runs(kFolder)), by_name);

TEST_P(Golden, ReferenceDiffersByFloat64sRoundingOnly) { expect_reference_as_in(kFolder, GetParam()); }

TEST_P(Golden, LibraryDiffersByFloat32sRoundingOnly) { expect_library_as_in(kFolder, GetParam()); }

TEST(GoldenFiles, PresetsHaveTheLearningRateAndDecayOfTheirImplementation) {
  std::size_t compared = 0;
  for (const GoldenRun& run : golden_runs(kFolder)) {
    if (run.preset.empty()) continue;
    const Rule rule = Rule::named(run.full_name());
    for (const auto& [name, value] : run.defaults.values()) {
      EXPECT_EQ(rule.get(name), value.number) << run.full_name() << " " << name;
      ++compared;
    }
  }
  EXPECT_GE(compared, 10u);
}

TEST(GoldenFiles, EveryRuleOfTheLibraryHasOne) {
  for (const Rule& rule : library_rules()) {
    EXPECT_FALSE(runs_of(kFolder, std::string(rule.name())).empty())
        << kFolder << " has no case of " << rule.name();
  }
}

}  // namespace
}  // namespace onepass::test
