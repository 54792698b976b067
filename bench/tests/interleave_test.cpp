// interleave_test.cpp - rounds have every contestant once, in an order of their own.
#include "bench/harness/interleave.hpp"

#include <gtest/gtest.h>

#include <algorithm>

namespace onepass::bench {
namespace {

/// Each call of a contestant's work takes what the contestant says.
class Fake final : public Machine {
 public:
  Device device() const override { return Device::cpu(); }
  std::string name() const override { return "fake"; }
  int launches() const override { return 1; }
  Elapsed time(const std::function<void()>& work, int repeats) override {
    work();
    asked.push_back({current, repeats});
    return {seconds, seconds / 2};
  }

  struct Asked {
    int contestant;
    int repeats;
  };
  std::vector<Asked> asked;
  int current = 0;
  double seconds = 0.0;
};

std::vector<Contestant> contestants(Fake& fake) {
  std::vector<Contestant> all;
  for (int i = 0; i < 4; ++i) {
    const auto run = [&fake, i] {
      fake.current = i;
      fake.seconds = 1e-4 * (i + 1);
    };
    all.push_back({std::to_string(i), run, 10'000'000});
  }
  return all;
}

TEST(Interleave, GivesEachContestantItsTimes) {
  Fake fake;
  const Interleaved sampled =
      interleave(fake, contestants(fake), {.rounds = 5, .seconds = 1e-3, .patience = 0.0});
  ASSERT_EQ(sampled.contestants.size(), 4u);
  for (std::size_t i = 0; i < 4; ++i) {
    const double seconds = 1e-4 * static_cast<double>(i + 1);
    EXPECT_EQ(sampled.contestants[i].seconds, std::vector<double>(5, seconds));
    EXPECT_EQ(sampled.contestants[i].host_seconds, std::vector<double>(5, seconds / 2));
  }
}

TEST(Interleave, RepeatsWhatIsShort) {
  Fake fake;
  interleave(fake, contestants(fake), {.rounds = 1, .seconds = 1e-3, .patience = 0.0});
  for (const Fake::Asked& one : fake.asked) {
    if (one.repeats <= 4) continue;  // the first look at how long it takes
    EXPECT_EQ(one.repeats, one.contestant == 0 ? 10 : 5);
  }
  EXPECT_TRUE(std::ranges::any_of(fake.asked, [](const Fake::Asked& one) { return one.repeats == 10; }));
}

TEST(Interleave, DrawsTheOrderAnewEachRound) {
  Fake fake;
  interleave(fake, contestants(fake), {.rounds = 20, .seconds = 0.0, .patience = 0.0});
  std::vector<int> order;
  for (const Fake::Asked& one : fake.asked) {
    if (order.empty() || order.back() != one.contestant) order.push_back(one.contestant);
  }
  int firsts = 0;
  for (std::size_t i = 4; i + 4 <= order.size(); i += 4) firsts += order[i] == 0 ? 1 : 0;
  EXPECT_LT(firsts, 15);
}

}  // namespace
}  // namespace onepass::bench
