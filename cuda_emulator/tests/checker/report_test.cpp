// report_test.cpp - tests that findings are printed once per place, always counted, and can be taken.
#include "checker/report.hpp"

#include <gtest/gtest.h>

#include <set>
#include <string_view>

namespace cuda_emulator {
namespace {

Finding race_at(int line) { return {Fault::race, "kernel k", "two writes", "k.cu", line}; }

/// Starts each test with an empty list, and leaves no findings for the end of the process.
class Report : public testing::Test {
 protected:
  Report() { Reports::instance().take(); }
  ~Report() override { Reports::instance().take(); }
  Reports& reports_ = Reports::instance();
};

TEST_F(Report, OnePlaceIsPrintedOnceAndCountedAlways) {
  testing::internal::CaptureStderr();
  for (int time = 0; time < 3; ++time) reports_.add(race_at(7));
  reports_.add_undescribed();
  const std::string printed = testing::internal::GetCapturedStderr();
  EXPECT_EQ(printed, "cuda_emulator: data race\n  kernel k\n  two writes\n");
  EXPECT_EQ(reports_.count(), 4u);
  EXPECT_EQ(reports_.take().size(), 1u);
}

TEST_F(Report, OtherLinesAndOtherFaultsAreDistinctFindings) {
  testing::internal::CaptureStderr();
  reports_.add(race_at(7));
  reports_.add(race_at(8));
  Finding other = race_at(7);
  other.fault = Fault::misaligned;
  reports_.add(other);
  testing::internal::GetCapturedStderr();
  EXPECT_EQ(reports_.take().size(), 3u);
}

TEST_F(Report, FindingsWithoutALineDifferByTheirText) {
  testing::internal::CaptureStderr();
  reports_.add({Fault::leak, "", "4 bytes", "", 0});
  reports_.add({Fault::leak, "", "8 bytes", "", 0});
  testing::internal::GetCapturedStderr();
  EXPECT_EQ(reports_.take().size(), 2u);
}

TEST_F(Report, TakenFindingsAreForgotten) {
  testing::internal::CaptureStderr();
  reports_.add(race_at(7));
  reports_.take();
  EXPECT_EQ(reports_.count(), 0u);
  reports_.add(race_at(7));
  testing::internal::GetCapturedStderr();
  EXPECT_EQ(reports_.take().size(), 1u);
}

TEST_F(Report, EveryFaultHasItsOwnName) {
  std::set<std::string_view> names;
  for (int fault = 0; fault <= static_cast<int>(Fault::invalid_use); ++fault) {
    names.insert(name_of(static_cast<Fault>(fault)));
  }
  EXPECT_EQ(names.size(), static_cast<std::size_t>(Fault::invalid_use) + 1);
}

}  // namespace
}  // namespace cuda_emulator
