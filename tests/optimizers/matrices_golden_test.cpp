// matrices_golden_test.cpp - the rules that keep numbers for rows and columns, and their references, agree
// with another implementation on matrices and batches of them: golden/matrices/RULE.txt, which
// golden/make_golden.py wrote.
#include <gtest/gtest.h>

#include <filesystem>
#include <set>
#include <string>

#include "optimizers/golden_replay.hpp"
#include "support/named.hpp"

namespace onepass::test {
namespace {

const std::filesystem::path kFolder = std::filesystem::path(ONEPASS_OPTIMIZERS_GOLDEN) / "matrices";

class MatricesGolden : public testing::TestWithParam<GoldenRun> {};
INSTANTIATE_TEST_SUITE_P(Rules, MatricesGolden, testing::ValuesIn(golden_runs(kFolder)), by_name);

TEST_P(MatricesGolden, ReferenceDiffersByFloat64sRoundingOnly) {
  expect_reference_as_in(kFolder, GetParam());
}

TEST_P(MatricesGolden, LibraryDiffersByFloat32sRoundingOnly) { expect_library_as_in(kFolder, GetParam()); }

/// What the files have numbers of.
std::set<std::string> golden_streams(const std::string& rule) {
  std::set<std::string> streams;
  for (const GoldenRun& run : runs_of(kFolder, rule)) {
    for (const Row& row : run.rows) streams.insert(row.stream);
  }
  return streams;
}

TEST(MatricesGoldenFiles, HaveEveryStateOfEveryRuleWithRowsAndColumns) {
  std::set<std::string> with_lines;
  for (const Rule& rule : library_rules()) {
    std::set<std::string> states;
    for (const VariantOps& variant : rule.ops().variants) {
      if (variant.axes.empty()) continue;
      for (const char* name : variant.state_names) states.insert(name);
    }
    if (states.empty()) continue;
    with_lines.emplace(rule.name());
    states.insert("p");
    EXPECT_EQ(golden_streams(std::string(rule.name())), states) << rule.name();
  }
  EXPECT_EQ(golden_rules(kFolder), with_lines);
}

TEST(MatricesGoldenFiles, HaveABatchOfMatricesForEveryRule) {
  for (const std::string& rule : golden_rules(kFolder)) {
    bool has_batch = false;
    for (const GoldenRun& run : runs_of(kFolder, rule)) has_batch |= run.shapes[1].size() == 3;
    EXPECT_TRUE(has_batch) << rule;
  }
}

}  // namespace
}  // namespace onepass::test
