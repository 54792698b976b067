// options.hpp - what the environment selects.
#pragma once

#include <cstdint>
#include <string>

#include "machine/launch.hpp"

namespace cuda_emulator {

struct Options {
  std::uint32_t multiprocessors = 4;  ///< CUDA_EMULATOR_SMS
  OrderOptions order;                 ///< CUDA_EMULATOR_ORDER=forward|reverse|random[:seed]
  bool check_races = true;            ///< CUDA_EMULATOR_RACES=0 switches the race check off, for speed.
  bool statistics = false;            ///< CUDA_EMULATOR_STATS=1
  bool counts = false;                ///< CUDA_EMULATOR_STATS=full: accesses too; slower.
  std::string kernel_log;             ///< CUDA_EMULATOR_KERNEL_LOG: a file to append launch counts to.
};

/// Reads the environment. A value that makes no sense ends the process: a test must not run unchecked.
Options read_options();

}  // namespace cuda_emulator
