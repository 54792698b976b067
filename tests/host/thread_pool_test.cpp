// thread_pool_test.cpp - every share of the work is done once, whoever else wants the threads.
#include "host/cpu/thread_pool.hpp"

#include <gtest/gtest.h>
#include <sys/wait.h>
#include <unistd.h>

#include <atomic>
#include <chrono>
#include <thread>
#include <vector>

namespace onepass::cpu {
namespace {

/// How often each thread number was run.
std::vector<int> counts_of_one_run(ThreadPool& pool, int threads) {
  std::vector<std::atomic<int>> counts(static_cast<std::size_t>(threads));
  auto task = [&](int thread, int of) {
    EXPECT_EQ(of, threads);
    ++counts[static_cast<std::size_t>(thread)];
  };
  pool.run(threads, task);
  return {counts.begin(), counts.end()};
}

/// Waits until a worker sleeps: soon, but on a busy machine nobody can say how soon.
bool fall_asleep(const ThreadPool& pool, int threads) {
  for (int tries = 0; pool.awake(threads) && tries < 10'000; ++tries) {
    std::this_thread::sleep_for(std::chrono::milliseconds(1));
  }
  return !pool.awake(threads);
}

TEST(ThreadPool, EveryShareRunsOnce) {
  ThreadPool pool;
  for (const int threads : {1, 2, 5, 3, 8, 1, 8}) {
    for (int round = 0; round < 200; ++round) {
      ASSERT_EQ(counts_of_one_run(pool, threads), std::vector<int>(static_cast<std::size_t>(threads), 1));
    }
  }
}

TEST(ThreadPool, SleepingWorkersAreWoken) {
  ThreadPool pool;
  for (int round = 0; round < 5; ++round) {
    EXPECT_EQ(counts_of_one_run(pool, 3), std::vector<int>(3, 1));
    EXPECT_TRUE(fall_asleep(pool, 3));
  }
}

TEST(ThreadPool, AwakeSaysWhetherWorkersSpin) {
  ThreadPool pool;
  EXPECT_TRUE(pool.awake(1));
  EXPECT_FALSE(pool.awake(2)) << "there are no workers yet";
}

TEST(ThreadPool, TwoCallersAtOnceBothGetTheirWorkDone) {
  ThreadPool pool;
  const auto caller = [&pool] {
    for (int round = 0; round < 500; ++round) {
      EXPECT_EQ(counts_of_one_run(pool, 4), std::vector<int>(4, 1));
    }
  };
  std::thread other(caller);
  caller();
  other.join();
}

TEST(ThreadPool, WorkFromWithinWorkIsDoneAlone) {
  ThreadPool pool;
  std::atomic<int> inner{0};
  auto task = [&](int /*thread*/, int /*of*/) {
    auto nested = [&](int, int) { ++inner; };
    pool.run(3, nested);
  };
  pool.run(2, task);
  EXPECT_EQ(inner, 6);
}

TEST(ThreadPool, AForkedChildDoesTheWorkAlone) {
  ThreadPool& pool = ThreadPool::shared();
  ASSERT_EQ(counts_of_one_run(pool, 2), std::vector<int>(2, 1));
  const pid_t child = fork();
  if (child == 0) {
    alarm(10);  // a child that waits for threads it does not have would hang
    _exit(counts_of_one_run(pool, 2) == std::vector<int>(2, 1) ? 0 : 1);
  }
  int status = -1;
  ASSERT_EQ(waitpid(child, &status, 0), child);
  EXPECT_TRUE(WIFEXITED(status) && WEXITSTATUS(status) == 0) << "status " << status;
}

}  // namespace
}  // namespace onepass::cpu
