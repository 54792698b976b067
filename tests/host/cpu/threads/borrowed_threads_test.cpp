// borrowed_threads_test.cpp - an optimizer's bits are the same on whosever threads it steps; and it finds the
// OpenMP runtime of the process when that is loaded, in whichever way.
//
// ONEPASS_TEST_OPENMP chooses the runtime: unset, a fake one that other libraries do not see; "global", a
// fake one that they see; "libgomp", GCC's.
#include <dlfcn.h>
#include <gtest/gtest.h>
#include <sys/wait.h>
#include <unistd.h>

#include <cmath>
#include <cstdlib>
#include <filesystem>
#include <stdexcept>
#include <string>
#include <thread>
#include <vector>

#include "host/cpu/threads/new_threads.hpp"
#include "host/cpu/threads/openmp.hpp"
#include "onepass/onepass.hpp"
#include "support/environment.hpp"
#include "support/refusal.hpp"

namespace onepass::test {
namespace {

using Floats = std::vector<float>;

/// A model of three tensors, and the optimizer that steps it: by norm, so that threads also measure.
class Training {
 public:
  explicit Training(const Options& options) : optimizer_(AdamW{.lr = 1e-2}, parameters(), options) {
    optimizer_.clip_grad_norm(1.0);
  }
  void step(int number) {
    for (std::size_t t = 0; t < 3; ++t) {
      for (std::size_t i = 0; i < grads_[t].size(); ++i) {
        // Denormal gradients show a thread that flushes them to zero.
        grads_[t][i] =
            i % 5 == 0 ? 1e-39f : std::sin(static_cast<float>(i + t) * 0.37f) / static_cast<float>(number);
      }
    }
    optimizer_.step();
  }
  [[nodiscard]] Floats values() const {
    Floats all;
    for (const Floats& one : values_) all.insert(all.end(), one.begin(), one.end());
    return all;
  }

 private:
  std::vector<Parameter> parameters() {
    std::vector<Parameter> parameters;
    for (std::size_t t = 0; t < 3; ++t) {
      const auto numel = static_cast<std::int64_t>(values_[t].size());
      parameters.push_back({.name = std::string(1, static_cast<char>('a' + t)),
                            .value = {values_[t].data(), numel},
                            .grad = {grads_[t].data(), numel}});
    }
    return parameters;
  }

  Floats values_[3] = {Floats(70001, 0.5f), Floats(3, 1.0f), Floats(30000, 1e-3f)};
  Floats grads_[3] = {Floats(70001), Floats(3), Floats(30000)};
  Optimizer optimizer_;
};

Floats trained(const Options& options, int steps = 4) {
  Training training(options);
  for (int step = 1; step <= steps; ++step) training.step(step);
  return training.values();
}

const Floats& wanted() {
  static const Floats wanted = trained({.threads = 1});
  return wanted;
}

TEST(CallersThreads, OrderAndNumberOfTheirCallsDoNotChangeABit) {
  int calls = 0;
  const ParallelFor loops[] = {[&](int parts, const Body& body) {
                                 ++calls;
                                 for (int part = 0; part < parts; ++part) body(part);
                               },
                               [&](int parts, const Body& body) {
                                 ++calls;
                                 for (int part = parts - 1; part >= 0; --part) body(part);
                               },
                               [&](int parts, const Body& body) {
                                 ++calls;
                                 on_new_threads(parts, body);
                               }};
  for (const ParallelFor& loop : loops) {
    for (const int threads : {2, 5}) {
      calls = 0;
      EXPECT_EQ(trained({.threads = threads, .parallel_for = loop}), wanted()) << threads;
      EXPECT_EQ(calls, 1 + 2 * 4)
          << "making the states hands out work once, and a step of norm and update twice";
    }
  }
}

TEST(CallersThreads, StepIsCompleteWhenWhatTheirLoopThrowsLeavesIt) {
  bool throws = false;
  Training training({.threads = 3, .parallel_for = [&](int parts, const Body& body) {
                       if (throws) throw std::runtime_error("no threads");
                       for (int part = 0; part < parts; ++part) body(part);
                     }});
  for (int step = 1; step <= 4; ++step) {
    throws = step == 2;
    if (throws) {
      EXPECT_THROW(training.step(step), std::runtime_error);
    } else {
      training.step(step);
    }
  }
  EXPECT_EQ(training.values(), wanted());
}

TEST(CallersThreads, TwelveOptimizersStepAtOnceWithoutChangingABit) {
  std::vector<Floats> results(12);
  std::vector<std::thread> callers;
  for (std::size_t i = 0; i < results.size(); ++i) {
    callers.emplace_back([&results, i] {
      const ParallelFor loop = i % 2 == 0 ? ParallelFor(on_new_threads) : ParallelFor{};
      results[i] = trained({.threads = 3, .parallel_for = loop});
    });
  }
  for (std::thread& caller : callers) caller.join();
  for (const Floats& result : results) EXPECT_EQ(result, wanted());
}

TEST(BadPool, UnknownPoolIsRefused) {
  const Environment pool("ONEPASS_POOL", "mine");
  EXPECT_TRUE(refused([] { trained({}); }, {"ONEPASS_POOL", "mine", "own or openmp"}));
}

TEST(ForcedPool, VariableDeterminesThePool) {
  for (const Pool pool : {Pool::own, Pool::openmp}) {
    const Environment forced("ONEPASS_POOL", std::string(to_string(pool)));
    EXPECT_EQ(best_pool(), pool);
  }
}

/// The runtime that ONEPASS_TEST_OPENMP chooses, and what a training saw of it that had begun before.
struct LoadedRuntime {
  bool found_before;
  void* library;
  int regions_of_late_steps = -1;
  Floats late;

  /// Number of parallel regions so far; -1 if the runtime does not count.
  [[nodiscard]] int regions() const { return count("fake_openmp_regions"); }
  [[nodiscard]] int changed_modes() const { return count("fake_openmp_changed_modes"); }
  [[nodiscard]] int count(const char* name) const {
    auto* const function = reinterpret_cast<int (*)()>(dlsym(library, name));
    return function == nullptr ? -1 : function();
  }
};

LoadedRuntime load() {
  const char* const chosen = std::getenv("ONEPASS_TEST_OPENMP");
  const std::string name = chosen == nullptr ? "" : chosen;
  LoadedRuntime loaded{.found_before = cpu::loaded_openmp() != nullptr};
  Training training({.threads = 3});
  training.step(1);
  // By its path: the thread sanitizer calls dlopen() itself, so this program's RUNPATH would not count.
  const std::string fake =
      std::filesystem::read_symlink("/proc/self/exe").replace_filename("libgomp-fake.so");
  loaded.library = dlopen(name == "libgomp" ? "libgomp.so.1" : fake.c_str(),
                          RTLD_NOW | (name == "global" ? RTLD_GLOBAL : RTLD_LOCAL));
  if (loaded.library == nullptr) return loaded;
  for (int step = 2; step <= 4; ++step) training.step(step);
  loaded.regions_of_late_steps = loaded.regions();
  loaded.late = training.values();
  return loaded;
}

class BorrowedOpenMP : public testing::Test {
 protected:
  void SetUp() override {
    (void)wanted();
    ASSERT_NE(loaded().library, nullptr) << dlerror();
  }
  static const LoadedRuntime& loaded() {
    static const LoadedRuntime loaded = load();
    return loaded;
  }
  static int regions() { return loaded().regions(); }
};

TEST_F(BorrowedOpenMP, IsFoundWhenItIsLoadedThoughTheOptimizerIsOlder) {
  EXPECT_FALSE(loaded().found_before);
  ASSERT_NE(cpu::loaded_openmp(), nullptr);
  EXPECT_NE(loaded().regions_of_late_steps, 0);
  EXPECT_EQ(loaded().late, wanted());
}

TEST_F(BorrowedOpenMP, StepsOnItsTeamWithoutChangingABit) {
  for (const int threads : {0, 2, 3, 7}) {
    const int before = regions();
    EXPECT_EQ(trained({.threads = threads}), wanted()) << threads;
    if (before >= 0 && threads > 0) {
      EXPECT_GT(regions(), before);
    }
  }
  EXPECT_LE(loaded().changed_modes(), 0) << "threads have lost their float environment";
}

TEST_F(BorrowedOpenMP, IsLeftAloneIfTheCallerSaysSo) {
  const int before = regions();
  EXPECT_EQ(trained({.threads = 3, .pool = Pool::own}), wanted());
  {
    const Environment pool("ONEPASS_POOL", "own");
    EXPECT_EQ(trained({.threads = 3}), wanted());
  }
  EXPECT_EQ(trained({.threads = 3, .parallel_for = on_new_threads}), wanted());
  EXPECT_EQ(regions(), before);
}

TEST_F(BorrowedOpenMP, StepFromWithinAParallelRegionHasTheSameBits) {
  struct Region {
    const cpu::OpenMP* runtime;
    std::vector<Floats> results = std::vector<Floats>(16);
  } region{cpu::loaded_openmp()};
  const int before = regions();
  region.runtime->parallel(
      [](void* data) {
        auto& [runtime, results] = *static_cast<Region*>(data);
        results[static_cast<std::size_t>(runtime->thread_num() % 16)] = trained({.threads = 3});
      },
      &region, 2, 0);
  if (before >= 0) {
    EXPECT_EQ(regions(), before + 1) << "a region within a region";
  }
  for (int thread = 0; thread < 2; ++thread) {
    EXPECT_EQ(region.results[static_cast<std::size_t>(thread)], wanted()) << thread;
  }
}

TEST_F(BorrowedOpenMP, OptimizersOfSeveralThreadsStepAtOnceWithoutChangingABit) {
  std::vector<Floats> results(4);
  std::vector<std::thread> callers;
  for (Floats& result : results) callers.emplace_back([&result] { result = trained({.threads = 3}); });
  for (std::thread& caller : callers) caller.join();
  for (const Floats& result : results) EXPECT_EQ(result, wanted());
}

TEST_F(BorrowedOpenMP, ForkedChildStepsAlone) {
  EXPECT_EQ(trained({.threads = 3}), wanted());
  const pid_t child = fork();
  if (child == 0) {
    alarm(60);
    _exit(trained({.threads = 3}) == wanted() ? 0 : 1);
  }
  int status = -1;
  ASSERT_EQ(waitpid(child, &status, 0), child);
  EXPECT_TRUE(WIFEXITED(status) && WEXITSTATUS(status) == 0) << "status " << status;
}

}  // namespace
}  // namespace onepass::test
