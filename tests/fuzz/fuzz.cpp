// fuzz.cpp - runs the parts of the fuzzer over a range of seeds, each part as one test:
//   onepass_fuzz [--seeds FIRST:LAST] [--seconds N]
// With --seconds each part goes on from FIRST until its time is over.
#include "fuzz/fuzz.hpp"

#include <gtest/gtest.h>

#include <chrono>
#include <cstdio>
#include <cstdlib>
#include <iostream>
#include <string_view>

#ifdef __SANITIZE_ADDRESS__
#include <sanitizer/common_interface_defs.h>
#endif

namespace onepass::fuzz {
namespace {

/// The seeds to run.
struct Range {
  std::uint64_t first = 1, last = 0;  ///< If `last` is 0, each part has a number of its own.
  double seconds = 0.0;               ///< If it is not 0, seeds go on until then.
} range;

/// The seed that is running, for the report if a sanitizer ends the program.
struct Running {
  std::uint64_t seed = 0;
  const Trace* trace = nullptr;
} running;

void report() {
  if (running.trace == nullptr) return;
  std::cerr << "The calls of seed " << running.seed << ", the last of which failed:\n";
  for (const std::string& call : running.trace->calls()) std::cerr << "  " << call << '\n';
  std::cerr << "Reproduce it with: onepass_fuzz --seeds " << running.seed << ':' << running.seed
            << " --gtest_filter=" << testing::UnitTest::GetInstance()->current_test_info()->test_suite_name()
            << '.' << testing::UnitTest::GetInstance()->current_test_info()->name() << std::endl;
}

void run(void (*part)(std::uint64_t, Trace&), std::uint64_t usual) {
  using Clock = std::chrono::steady_clock;
  const Clock::time_point start = Clock::now();
  const std::uint64_t last = range.last != 0 ? range.last : range.first + usual - 1;
  std::uint64_t seed = range.first;
  const auto goes_on = [&] {
    if (range.seconds == 0.0) return seed <= last;
    return std::chrono::duration<double>(Clock::now() - start).count() < range.seconds;
  };
  for (; goes_on(); ++seed) {
    Trace trace;
    running = {seed, &trace};
    try {
      part(seed, trace);
    } catch (const std::exception& error) {
      report();
      ADD_FAILURE() << "seed " << seed << ": " << error.what();
      break;
    }
  }
  running = {};
  std::cout << seed - range.first << " seeds" << std::endl;
}

TEST(Fuzz, RandomCallsFollowTheModel) { run(random_calls, 300); }
TEST(Fuzz, RandomCallsOfTheCInterfaceAreTakenOrRefused) { run(random_c_calls, 2000); }
TEST(Fuzz, DamagedStateDictsAreRefusedOrTaken) { run(damaged_dicts, 600); }
TEST(Fuzz, DamagedCheckpointsAreRefusedOrTaken) { run(damaged_checkpoints, 150); }
TEST(Fuzz, DamagedRunsAreRefusedOrTaken) { run(damaged_runs, 200); }

/// Reads the options. Returns whether they are right.
bool read(int count, char** arguments) {
  for (int i = 1; i + 1 < count; i += 2) {
    const std::string_view option = arguments[i];
    if (option == "--seeds") {
      if (std::sscanf(arguments[i + 1], "%lu:%lu", &range.first, &range.last) != 2) return false;
    } else if (option == "--seconds") {
      range.seconds = std::atof(arguments[i + 1]);
    } else {
      return false;
    }
  }
  return count % 2 == 1;
}

}  // namespace
}  // namespace onepass::fuzz

int main(int count, char** arguments) {
  testing::InitGoogleTest(&count, arguments);
  if (!onepass::fuzz::read(count, arguments)) {
    std::cerr << "usage: onepass_fuzz [--seeds FIRST:LAST] [--seconds N]\n";
    return 2;
  }
#ifdef __SANITIZE_ADDRESS__
  __sanitizer_set_death_callback(onepass::fuzz::report);
#endif
  return RUN_ALL_TESTS();
}
