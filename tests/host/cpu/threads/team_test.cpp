// team_test.cpp - a team does every part once, on the caller's threads, an OpenMP runtime's or its own.
#include "host/cpu/threads/team.hpp"

#include <gtest/gtest.h>
#include <sys/wait.h>
#include <unistd.h>

#include <atomic>
#include <stdexcept>
#include <thread>
#include <vector>

#include "host/cpu/threads/new_threads.hpp"

namespace onepass::cpu {
namespace {

constexpr PoolRun kRun{4, 40, 1e6};
using test::Body, test::on_new_threads;

std::vector<int> once(const PoolRun& run) { return std::vector<int>(static_cast<std::size_t>(run.parts), 1); }

/// Runs a task and returns how often the team did each part. The counts are no atomics: no part is done by
/// two threads, and the caller may read what they have written.
std::vector<int> counts_of(Team& team, const PoolRun& run, Learner* learner = nullptr) {
  std::vector<int> counts(static_cast<std::size_t>(run.parts));
  auto task = [&](int thread, int part) {
    EXPECT_TRUE(thread >= 0 && thread < run.threads) << thread;
    ++counts[static_cast<std::size_t>(part)];
  };
  team.run(run, task, learner);
  return counts;
}

TEST(CallersParallelFor, EveryPartIsDoneOnceInWhateverOrderItCalls) {
  int calls = 0;
  const ParallelFor loops[] = {[&](int parts, const Body& body) {
                                 ++calls;
                                 EXPECT_EQ(parts, kRun.threads);
                                 for (int part = 0; part < parts; ++part) body(part);
                               },
                               [&](int parts, const Body& body) {
                                 ++calls;
                                 for (int part = parts - 1; part >= 0; --part) body(part);
                               },
                               [&](int parts, const Body& body) {
                                 ++calls;
                                 on_new_threads(parts, body);
                               },
                               [&](int parts, const Body& body) {  // two threads for four parts
                                 ++calls;
                                 std::thread other([&] {
                                   for (int part = 1; part < parts; part += 2) body(part);
                                 });
                                 for (int part = 0; part < parts; part += 2) body(part);
                                 other.join();
                               }};
  for (const ParallelFor& loop : loops) {
    Team team(Pool::own, loop);
    for (const bool backwards : {false, true}) {
      const PoolRun run{kRun.threads, kRun.parts, kRun.nanoseconds, backwards};
      EXPECT_EQ(counts_of(team, run), once(run));
    }
  }
  EXPECT_EQ(calls, 8);
}

TEST(CallersParallelFor, EveryPartIsDoneOnceEvenIfItForgetsOrRepeatsParts) {
  const ParallelFor loops[] = {[](int, const Body&) {}, [](int, const Body& body) { body(2); },
                               [](int parts, const Body& body) {
                                 for (const int part : {-1, parts, 1 << 30}) body(part);
                               },
                               [](int parts, const Body& body) {
                                 std::thread other([&] { on_new_threads(parts, body); });
                                 on_new_threads(parts, body);
                                 other.join();
                               }};
  for (const ParallelFor& loop : loops) {
    Team team(Pool::own, loop);
    for (int round = 0; round < 20; ++round) EXPECT_EQ(counts_of(team, kRun), once(kRun));
  }
}

TEST(CallersParallelFor, CallThatComesAfterTheWorkDoesNothing) {
  Body late;
  Team team(Pool::own, [&](int parts, const Body& body) {
    late = body;
    for (int part = 0; part < parts; ++part) body(part);
  });
  EXPECT_EQ(counts_of(team, kRun), once(kRun));
  for (int part = 0; part < kRun.threads; ++part) late(part);  // the counts are gone
}

TEST(CallersParallelFor, WorkIsDoneBeforeWhatItThrowsIsThrown) {
  for (const int calls : {0, 1, 4}) {
    Team team(Pool::own, [calls](int, const Body& body) {
      for (int part = 0; part < calls; ++part) body(part);
      throw std::runtime_error("no threads");
    });
    EXPECT_EQ(counts_of(team, kRun), once(kRun)) << calls;
    EXPECT_THROW(team.rethrow(), std::runtime_error);
    EXPECT_NO_THROW(team.rethrow());
    EXPECT_EQ(counts_of(team, kRun), once(kRun)) << "after it has thrown";
  }
}

TEST(CallersParallelFor, WorkOfOneThreadDoesNotCallIt) {
  Team team(Pool::own, [](int, const Body&) { FAIL(); });
  const PoolRun run{1, 5, 1e3};
  EXPECT_EQ(counts_of(team, run), once(run));
}

/// A runtime in which a test says how many threads there are and whether a region is open.
struct Runtime {
  static inline thread_local int thread_num = 0;
  static inline int max_threads = 3;
  static inline std::atomic<int> in_parallel{0}, regions{0};
  static inline std::atomic<unsigned> asked{0};

  static void parallel(void (*body)(void*), void* data, unsigned threads, unsigned /*flags*/) {
    ++regions;
    asked = threads;
    on_new_threads(max_threads, [&](int thread) {
      thread_num = thread;
      body(data);
    });
  }
  static const OpenMP* find() {
    static const OpenMP runtime{parallel, [] { return max_threads; }, [] { return in_parallel.load(); },
                                [] { return thread_num; }};
    return &runtime;
  }
};

class OpenMPTeam : public testing::Test {
 protected:
  OpenMPTeam() {
    Runtime::max_threads = 3;
    Runtime::in_parallel = 0;
    Runtime::regions = 0;
  }
};

TEST_F(OpenMPTeam, EveryPartIsDoneOnceByTheWholeTeam) {
  for (const int threads : {1, 2, 3, 5, 64}) {
    Runtime::max_threads = threads;
    Team team(Pool::openmp, {}, Runtime::find);
    Runtime::regions = 0;
    EXPECT_EQ(counts_of(team, kRun), once(kRun));
    EXPECT_EQ(Runtime::regions, threads > 1 ? 1 : 0);
    EXPECT_EQ(Runtime::asked, 0u) << "a smaller team than the framework's";
  }
}

TEST_F(OpenMPTeam, CallFromWithinAParallelRegionIsDoneAlone) {
  Runtime::in_parallel = 1;
  Team team(Pool::openmp, {}, Runtime::find);
  EXPECT_EQ(counts_of(team, kRun), once(kRun));
  EXPECT_EQ(Runtime::regions, 0);
}

TEST_F(OpenMPTeam, ItIsNotBorrowedIfTheCallerHasChosenOtherThreads) {
  Team own(Pool::own, {}, Runtime::find);
  EXPECT_EQ(counts_of(own, kRun), once(kRun));
  Team callers(Pool::openmp, on_new_threads, Runtime::find);
  EXPECT_EQ(counts_of(callers, kRun), once(kRun));
  EXPECT_EQ(Runtime::regions, 0);
}

TEST_F(OpenMPTeam, LearnerDecidesWhetherItIsBorrowed) {
  Team team(Pool::openmp, {}, Runtime::find);
  Learner learner;  // the fake team starts its threads anew, so it is far slower
  const PoolRun run{3, 6, 1e4};
  for (int round = 0; round < 100; ++round) EXPECT_EQ(counts_of(team, run, &learner), once(run));
  EXPECT_GE(Runtime::regions, 3);
  EXPECT_LE(Runtime::regions, 50);
}

TEST_F(OpenMPTeam, ForkedChildDoesTheWorkAlone) {
  Team team(Pool::openmp, {}, Runtime::find);
  EXPECT_EQ(counts_of(team, kRun), once(kRun));
  const pid_t child = fork();
  if (child == 0) {
    alarm(10);
    Runtime::regions = 0;
    _exit(counts_of(team, kRun) == once(kRun) && Runtime::regions == 0 ? 0 : 1);
  }
  int status = -1;
  ASSERT_EQ(waitpid(child, &status, 0), child);
  EXPECT_TRUE(WIFEXITED(status) && WEXITSTATUS(status) == 0) << "status " << status;
}

TEST(OwnThreads, EveryPartIsDoneOnceAndSeenByTheCaller) {
  Team team(Pool::own);
  for (int round = 0; round < 300; ++round) {
    const PoolRun run{2 + round % 3, 8 + round % 5, 1e6, round % 2 == 1};
    ASSERT_EQ(counts_of(team, run), once(run)) << round;
  }
}

TEST(Teams, ManyTeamsWorkAtOnce) {
  std::vector<std::thread> callers;
  for (int number = 0; number < 12; ++number) {
    callers.emplace_back([number] {
      Team team(number % 3 == 0 ? Pool::own : Pool::openmp, number % 3 == 1 ? on_new_threads : ParallelFor{},
                Runtime::find);
      for (int round = 0; round < 30; ++round) EXPECT_EQ(counts_of(team, kRun), once(kRun)) << number;
    });
  }
  for (std::thread& caller : callers) caller.join();
}

}  // namespace
}  // namespace onepass::cpu
