// interleave_test.cpp - each round samples every contestant once, in a random order.
#include "bench/harness/interleave.hpp"

#include <gtest/gtest.h>

#include <algorithm>
#include <chrono>
#include <string>

#include "bench/tests/fake_machine.hpp"

namespace onepass::bench {
namespace {

std::vector<Contestant> contestants(FakeMachine& fake) {
  std::vector<Contestant> all;
  for (int i = 0; i < 4; ++i) {
    const auto run = [&fake, i] {
      fake.current = i;
      fake.seconds = 1e-4 * (i + 1);
    };
    all.push_back({std::to_string(i), run});
  }
  return all;
}

TEST(Interleave, GivesEachContestantItsTimes) {
  FakeMachine fake;
  const Interleaved sampled =
      interleave(fake, contestants(fake), {.rounds = 5, .seconds = 1e-3, .patience = 0.0});
  ASSERT_EQ(sampled.contestants.size(), 4u);
  for (std::size_t i = 0; i < 4; ++i) {
    const double seconds = 1e-4 * static_cast<double>(i + 1);
    EXPECT_EQ(sampled.contestants[i].seconds, std::vector<double>(5, seconds));
    EXPECT_EQ(sampled.contestants[i].host_seconds, std::vector<double>(5, seconds / 2));
  }
}

TEST(Interleave, RepeatsShortWorkUntilTheSampleIsLongEnough) {
  FakeMachine fake;
  interleave(fake, contestants(fake), {.rounds = 1, .seconds = 1e-3, .patience = 0.0});
  for (const FakeMachine::Asked& one : fake.asked) {
    if (one.repeats <= 4) continue;  // a call that only measures how long the work takes
    EXPECT_EQ(one.repeats, one.contestant == 0 ? 10 : 5);
  }
  EXPECT_TRUE(
      std::ranges::any_of(fake.asked, [](const FakeMachine::Asked& one) { return one.repeats == 10; }));
}

TEST(Interleave, EmptiesTheCachesBeforeEachColdSampleOfOneCall) {
  FakeMachine fake;
  const auto all = contestants(fake);
  const Interleaved sampled = interleave(
      fake, all, {.rounds = 3, .seconds = 1e-3, .patience = 0.0, .best_of = 5, .cold = true, .threads = 2});
  // A sample that lost its processor is taken again after emptying the caches again, so the log may be
  // longer.
  ASSERT_GE(fake.log.size(), 2u * 3 * all.size());
  for (std::size_t i = 0; i < fake.log.size(); ++i) EXPECT_EQ(fake.log[i], i % 2 == 0 ? 'e' : 't') << i;
  for (const FakeMachine::Asked& one : fake.asked) EXPECT_EQ(one.repeats, 1);
  EXPECT_EQ(fake.emptied, 2);
  EXPECT_EQ(sampled.contestants.front().seconds, std::vector<double>(3, 1e-4));
}

TEST(Interleave, WarmsUpBeforeEachHotSample) {
  FakeMachine fake;
  interleave(fake, contestants(fake), {.rounds = 3, .seconds = 1e-3, .patience = 0.0});
  EXPECT_EQ(fake.log.find('e'), std::string::npos);
  const std::size_t first =
      fake.log.size() - 2 * fake.log.size() / 4;  // skips the calls that measure how long the work takes
  EXPECT_NE(fake.log.find("wtwtwt", first), std::string::npos) << fake.log;
}

TEST(Interleave, RestsBeforeEachBurst) {
  FakeMachine fake;
  const auto start = std::chrono::steady_clock::now();
  interleave(fake, contestants(fake), {.rounds = 3, .patience = 0.0, .rest = 1e-3, .burst = 12});
  const std::chrono::duration<double> took = std::chrono::steady_clock::now() - start;
  EXPECT_GE(took.count(), 1e-3 * static_cast<double>(fake.asked.size()));
  EXPECT_GE(fake.asked.size(), 3u * 4);  // more if a sample lost its processor
  EXPECT_EQ(fake.log, std::string(fake.asked.size(), 't'));
  for (const FakeMachine::Asked& one : fake.asked) EXPECT_EQ(one.repeats, 12);
}

TEST(Interleave, DrawsTheOrderAnewEachRound) {
  FakeMachine fake;
  interleave(fake, contestants(fake), {.rounds = 20, .seconds = 0.0, .patience = 0.0});
  std::vector<int> order;
  for (const FakeMachine::Asked& one : fake.asked) {
    if (order.empty() || order.back() != one.contestant) order.push_back(one.contestant);
  }
  int firsts = 0;
  for (std::size_t i = 4; i + 4 <= order.size(); i += 4) firsts += order[i] == 0 ? 1 : 0;
  EXPECT_LT(firsts, 15);
}

}  // namespace
}  // namespace onepass::bench
