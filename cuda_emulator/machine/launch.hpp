// launch.hpp - one kernel launch, and the order in which its threads run.
#pragma once

#include <cstdint>
#include <random>
#include <string>
#include <vector>

#include "checker/report.hpp"
#include "checker/shadow.hpp"
#include "checker/sync.hpp"
#include "machine/counts.hpp"
#include "machine/instruction.hpp"
#include "memory/device_memory.hpp"

namespace cuda_emulator {

struct Dim3 {
  std::uint32_t x = 1, y = 1, z = 1;
  std::uint64_t count() const { return std::uint64_t{x} * y * z; }
  Dim3 at(std::uint64_t index) const {
    return {static_cast<std::uint32_t>(index % x), static_cast<std::uint32_t>(index / x % y),
            static_cast<std::uint32_t>(index / x / y)};
  }
};

enum class ThreadOrder : std::uint8_t { forward, reverse, random };

/// The order that CUDA_EMULATOR_ORDER selects.
struct OrderOptions {
  ThreadOrder kind = ThreadOrder::forward;
  std::uint32_t seed = 1;
};

struct Launch {
  const Program* program = nullptr;
  Dim3 grid;
  Dim3 block;
  std::vector<char> parameters;
  std::uint32_t dynamic_shared = 0;

  DeviceMemory* memory = nullptr;
  std::uint32_t resident_blocks = 4;  ///< Number of blocks that run at the same time.
  bool check_races = true;
  cuda_emulator_counts* counts = nullptr;  ///< Receives the counts. Null turns counting off.
  OrderOptions threads;
  BlockId first_block = 1;
  const LaunchOrder* order = nullptr;  ///< Null if all earlier work is ordered before this launch.

  // Results.
  std::uint64_t instructions = 0;
  std::vector<Fault> faults;

  SyncTable sync;
};

/// Picks the next thread and the number of instructions that it may run.
class Schedule {
 public:
  explicit Schedule(const OrderOptions& options) : options_(options), random_(options.seed) {}

  /// Returns the order of `count` threads or blocks for one round.
  const std::vector<std::uint32_t>& round(std::uint32_t count);
  /// Returns the number of instructions until the next preemption. Without random order, preemption only
  /// serves loops that wait for another thread.
  std::uint32_t quantum();

 private:
  OrderOptions options_;
  std::mt19937 random_;
  std::vector<std::uint32_t> order_;
};

/// Runs all blocks. Findings go to Reports, and their kinds to launch.faults.
void run(Launch& launch);

/// Returns "kernel f(float*), block (1,0,0), thread (3,0,0), at f.cu:12".
std::string describe(const Launch& launch, BlockId block, std::uint32_t thread, const Site& site);
/// Returns the C++ name if `name` is mangled, otherwise `name`.
std::string demangle(const std::string& name);

}  // namespace cuda_emulator
