// quiet.cpp - reads from Linux whether other tasks are running.
#include "bench/harness/quiet.hpp"

#include <sys/resource.h>

#include <chrono>
#include <fstream>
#include <string>
#include <thread>

namespace onepass::bench {
namespace {

/// Returns the number of runnable tasks, this one included. The fourth word of /proc/loadavg is
/// "running/all". Returns 1 if the file cannot be read.
int running_tasks() {
  std::ifstream file("/proc/loadavg");
  std::string word;
  for (int i = 0; i < 4; ++i) file >> word;
  return file ? std::stoi(word.substr(0, word.find('/'))) : 1;
}

}  // namespace

bool wait_until_quiet(double patience) {
  using Clock = std::chrono::steady_clock;
  const Clock::time_point start = Clock::now();
  while (running_tasks() > 1) {
    if (std::chrono::duration<double>(Clock::now() - start).count() >= patience) return false;
    std::this_thread::sleep_for(std::chrono::milliseconds(2));
  }
  return true;
}

long involuntary_switches() {
  rusage usage{};
  getrusage(RUSAGE_SELF, &usage);
  return usage.ru_nivcsw;
}

}  // namespace onepass::bench
