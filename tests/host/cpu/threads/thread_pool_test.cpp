// thread_pool_test.cpp - the pool does every part of the work exactly once, whatever else needs its threads,
// and wakes workers only when that pays.
#include "host/cpu/threads/thread_pool.hpp"

#include <gtest/gtest.h>
#include <pthread.h>
#include <sched.h>
#include <sys/wait.h>
#include <unistd.h>

#include <atomic>
#include <chrono>
#include <thread>
#include <vector>

namespace onepass::cpu {
namespace {

using std::chrono::milliseconds;
using std::chrono::steady_clock;

constexpr double kMuch = 1e9;  // nanoseconds: the pool wakes sleeping workers for it

/// Runs a task and returns how often the pool did each part.
std::vector<int> counts_of_one_run(ThreadPool& pool, const PoolRun& run) {
  std::vector<std::atomic<int>> counts(static_cast<std::size_t>(run.parts));
  auto task = [&](int thread, int part) {
    EXPECT_TRUE(thread >= 0 && thread < run.threads) << thread;
    ++counts[static_cast<std::size_t>(part)];
  };
  pool.run(run, task);
  return {counts.begin(), counts.end()};
}

std::vector<int> once(const PoolRun& run) { return std::vector<int>(static_cast<std::size_t>(run.parts), 1); }

/// Waits until the condition is true, for 20 seconds at most. That takes long only on a busy machine.
template <class Condition>
bool comes_true(const Condition& condition) {
  const auto end = steady_clock::now() + std::chrono::seconds(20);
  while (!condition() && steady_clock::now() < end) std::this_thread::sleep_for(milliseconds(1));
  return condition();
}

bool fall_asleep(const ThreadPool& pool) {
  return comes_true([&] { return pool.awake() == 0; });
}

TEST(ThreadPool, EveryPartIsDoneOnce) {
  ThreadPool pool;
  for (const int threads : {1, 2, 5, 3, 8, 1, 8}) {
    for (int round = 0; round < 200; ++round) {
      const PoolRun run{threads, threads + round % 23, kMuch, round % 2 == 1};
      ASSERT_EQ(counts_of_one_run(pool, run), once(run)) << threads << " threads, round " << round;
    }
  }
}

TEST(ThreadPool, CallerTakesOverThePartsOfAWorkerThatIsLate) {
  // Worker 1 stays in its first part until all other parts are done, so the caller has to do those.
  ThreadPool pool;
  const PoolRun run{2, 64, kMuch};
  int seen_late = 0;
  const bool seen = comes_true([&] {
    std::atomic<int> done{0};
    bool late = false;
    auto task = [&](int thread, int /*part*/) {
      if (thread == 1) {
        late = true;
        while (done < run.parts - 1) std::this_thread::yield();
      } else {
        std::this_thread::sleep_for(std::chrono::microseconds(50));
      }
      ++done;
    };
    pool.run(run, task);
    EXPECT_EQ(done, run.parts) << "returned before the last part was done";
    seen_late += late ? 1 : 0;
    return seen_late >= 5;
  });
  EXPECT_TRUE(seen) << "the worker never came";
}

TEST(ThreadPool, CallerBeginsWithItsOwnParts) {
  // No worker is awake. The caller begins with its own half of the parts, upwards or from the end of it.
  for (const bool backwards : {false, true}) {
    ThreadPool pool;
    (void)counts_of_one_run(pool, {2, 2, 0.0});
    ASSERT_TRUE(fall_asleep(pool));
    std::vector<int> order;
    auto task = [&](int /*thread*/, int part) { order.push_back(part); };
    pool.run({2, 6, 0.0, backwards}, task);
    const std::vector<int> expected =
        backwards ? std::vector<int>{2, 1, 0, 3, 4, 5} : std::vector<int>{0, 1, 2, 5, 4, 3};
    EXPECT_EQ(order, expected);
  }
}

TEST(ThreadPool, LittleWorkWakesNoWorker) {
  ThreadPool pool;
  (void)counts_of_one_run(pool, {3, 3, 0.0});
  ASSERT_TRUE(fall_asleep(pool));
  const PoolRun run{3, 30, 1e3};
  EXPECT_EQ(counts_of_one_run(pool, run), once(run));
  EXPECT_EQ(pool.awake(), 0);
}

TEST(ThreadPool, MuchWorkWakesTheWorkersThatItAsksFor) {
  ThreadPool pool;
  for (int round = 0; round < 5; ++round) {
    (void)counts_of_one_run(pool, {4, 4, 0.0});
    ASSERT_TRUE(fall_asleep(pool));
    // Workers awake when the caller begins. They wait until then, so that they leave a part for the caller.
    std::atomic<int> awake{-1};
    auto task = [&](int thread, int /*part*/) {
      if (thread == 0 && awake < 0) awake = pool.awake();
      while (awake < 0) std::this_thread::yield();
    };
    pool.run({3, 1000, kMuch}, task);
    EXPECT_EQ(awake, 2) << "of three workers";
  }
}

TEST(ThreadPool, WokenWorkerMayRunOnAllCpusOfItsCaller) {
  ThreadPool pool;
  (void)counts_of_one_run(pool, {2, 2, 0.0});
  ASSERT_TRUE(fall_asleep(pool));
  cpu_set_t callers, workers;
  ASSERT_EQ(pthread_getaffinity_np(pthread_self(), sizeof callers, &callers), 0);
  std::atomic<bool> worker_came{false};
  auto task = [&](int thread, int /*part*/) {
    if (thread == 1 && !worker_came) {
      EXPECT_EQ(pthread_getaffinity_np(pthread_self(), sizeof workers, &workers), 0);
      worker_came = true;
    }
    EXPECT_TRUE(comes_true([&] { return worker_came.load(); }));
  };
  pool.run({2, 2, kMuch}, task);
  ASSERT_TRUE(worker_came);
  EXPECT_TRUE(CPU_EQUAL(&callers, &workers)) << "of " << CPU_COUNT(&callers) << ": " << CPU_COUNT(&workers);
}

TEST(ThreadPool, BurstOfLittleWorkWakesAWorker) {
  ThreadPool pool;
  (void)counts_of_one_run(pool, {2, 2, 0.0});
  ASSERT_TRUE(fall_asleep(pool));
  std::atomic<bool> worker_came{false};
  auto task = [&](int thread, int /*part*/) {
    if (thread == 1) worker_came = true;
    const auto end = steady_clock::now() + std::chrono::microseconds(5);
    while (steady_clock::now() < end) {
    }
  };
  const auto end = steady_clock::now() + std::chrono::seconds(20);
  while (!worker_came && steady_clock::now() < end) pool.run({2, 4, 20e3}, task);
  EXPECT_TRUE(worker_came);
}

TEST(ThreadPool, LearnerDecidesWhetherSleepersAreWoken) {
  for (const bool together_is_faster : {false, true}) {
    ThreadPool pool;
    Learner learner;
    for (int run = 0; run < 3; ++run) {
      learner.took(false, together_is_faster ? 1e9 : 1e6);
      learner.took(true, together_is_faster ? 1e6 : 1e9);
    }
    (void)counts_of_one_run(pool, {2, 2, 0.0});
    ASSERT_TRUE(fall_asleep(pool));
    std::atomic<int> awake{-1};
    auto task = [&](int thread, int /*part*/) {
      if (thread == 0 && awake < 0) awake = pool.awake();
      while (awake < 0) std::this_thread::yield();
    };
    // Without a learner the first run would wake a worker, and the second one would not.
    pool.run({2, 8, together_is_faster ? 1e3 : 1e6}, task, &learner);
    EXPECT_EQ(awake, together_is_faster ? 1 : 0);
  }
}

TEST(ThreadPool, LearnerSeesThatWorkIsLongerThanExpected) {
  // Two threads do it in half the time, though the number of elements does not tell so.
  ThreadPool pool;
  Learner learner;
  (void)counts_of_one_run(pool, {2, 2, 0.0});
  bool woken = false;
  auto task = [&](int thread, int /*part*/) {
    if (thread == 0) woken = woken || pool.awake() > 0;
    std::this_thread::sleep_for(milliseconds(1));
  };
  for (int run = 0; run < 4; ++run) {
    ASSERT_FALSE(woken) << run;
    ASSERT_TRUE(fall_asleep(pool));
    pool.run({2, 4, 1e3}, task, &learner);
  }
  EXPECT_TRUE(woken);
}

TEST(ThreadPool, WorkersFallAsleepAgain) {
  ThreadPool pool;
  for (int round = 0; round < 3; ++round) {
    (void)counts_of_one_run(pool, {3, 9, kMuch});
    EXPECT_TRUE(fall_asleep(pool));
  }
}

TEST(ThreadPool, TwoCallersAtOnceBothGetTheirWorkDone) {
  ThreadPool pool;
  const auto caller = [&pool] {
    const PoolRun run{4, 9, kMuch};
    for (int round = 0; round < 500; ++round) EXPECT_EQ(counts_of_one_run(pool, run), once(run));
  };
  std::thread other(caller);
  caller();
  other.join();
}

TEST(ThreadPool, WorkFromWithinWorkIsDoneByItsCallerAlone) {
  ThreadPool pool;
  std::atomic<int> inner{0};
  auto task = [&](int /*thread*/, int /*part*/) {
    auto nested = [&](int thread, int) { inner += thread == 0 ? 1 : 100; };
    pool.run({3, 3, kMuch}, nested);
  };
  pool.run({2, 2, kMuch}, task);
  EXPECT_EQ(inner, 6);
}

TEST(ThreadPool, ForkedChildDoesTheWorkAlone) {
  ThreadPool& pool = ThreadPool::shared();
  const PoolRun run{2, 8, kMuch};
  ASSERT_EQ(counts_of_one_run(pool, run), once(run));
  const pid_t child = fork();
  if (child == 0) {
    alarm(10);  // a child that waits for threads it does not have would hang
    _exit(counts_of_one_run(pool, run) == once(run) ? 0 : 1);
  }
  int status = -1;
  ASSERT_EQ(waitpid(child, &status, 0), child);
  EXPECT_TRUE(WIFEXITED(status) && WEXITSTATUS(status) == 0) << "status " << status;
}

}  // namespace
}  // namespace onepass::cpu
