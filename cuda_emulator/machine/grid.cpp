// grid.cpp - runs the blocks of a launch, a few at a time, like a small device.
#include <cxxabi.h>

#include <algorithm>
#include <cstdlib>
#include <memory>
#include <numeric>

#include "machine/block.hpp"

namespace cuda_emulator {
namespace {

// Instructions after which the next block gets a turn, because a block may wait for another one.
constexpr std::uint64_t kSlice = 4'000'000;
// Instructions after which a launch is stopped. A kernel gets this far only if it waits for something that
// never happens.
constexpr std::uint64_t kLimit = 40'000'000'000;

std::string text(Dim3 d) {
  return "(" + std::to_string(d.x) + "," + std::to_string(d.y) + "," + std::to_string(d.z) + ")";
}

class Grid {
 public:
  explicit Grid(Launch& launch) : launch_(launch), schedule_(launch.threads) {}

  void run() {
    const std::uint64_t total = launch_.grid.count();
    const std::uint64_t resident = std::min<std::uint64_t>(launch_.resident_blocks, total);
    for (std::uint64_t first = 0; first < total && !over_limit_; first += resident) {
      run_wave(first, std::min(resident, total - first));
    }
  }

 private:
  /// Runs the blocks that are on the device together. The setting of the thread order also orders the blocks.
  void run_wave(std::uint64_t first, std::uint64_t count) {
    while (blocks_.size() < count) blocks_.push_back(std::make_unique<Block>(launch_));
    const std::vector<std::uint32_t> order = schedule_.round(static_cast<std::uint32_t>(count));
    for (const std::uint32_t k : order) blocks_[k]->start(first + k);
    std::vector<bool> finished(count, false);
    for (std::uint64_t left = count; left > 0 && !over_limit_;) {
      for (const std::uint32_t k : order) {
        if (finished[k]) continue;
        finished[k] = blocks_[k]->run(schedule_, slice());
        left -= finished[k] ? 1 : 0;
      }
      check_limit();
    }
  }

  std::uint64_t slice() { return launch_.threads.kind == ThreadOrder::random ? 2000 : kSlice; }

  void check_limit() {
    if (launch_.instructions < kLimit) return;
    over_limit_ = true;
    launch_.faults.push_back(Fault::deadlock);
    Reports::instance().add({Fault::deadlock,
                             "kernel " + demangle(launch_.program->name),
                             "does not end: stopped after " + std::to_string(kLimit) + " instructions",
                             {},
                             0});
  }

  Launch& launch_;
  Schedule schedule_;
  std::vector<std::unique_ptr<Block>> blocks_;
  bool over_limit_ = false;
};

}  // namespace

const std::vector<std::uint32_t>& Schedule::round(std::uint32_t count) {
  if (order_.size() != count) {
    order_.resize(count);
    std::iota(order_.begin(), order_.end(), 0u);
    if (options_.kind == ThreadOrder::reverse) std::reverse(order_.begin(), order_.end());
  }
  if (options_.kind == ThreadOrder::random) std::shuffle(order_.begin(), order_.end(), random_);
  return order_;
}

std::uint32_t Schedule::quantum() {
  return options_.kind == ThreadOrder::random ? 1 + random_() % 64 : 1'000'000;
}

void run(Launch& launch) { Grid(launch).run(); }

std::string demangle(const std::string& name) {
  int status = 0;
  char* text = abi::__cxa_demangle(name.c_str(), nullptr, nullptr, &status);
  std::string result = status == 0 ? text : name;
  std::free(text);
  return result;
}

std::string describe(const Launch& launch, BlockId block, std::uint32_t thread, const Site& site) {
  return "kernel " + demangle(launch.program->name) + ", block " +
         text(launch.grid.at(block - launch.first_block)) + ", thread " + text(launch.block.at(thread)) +
         ", at " + describe_source(site);
}

}  // namespace cuda_emulator
