// options.hpp - the settings that the environment selects.
#pragma once

#include <cstdint>
#include <string>

#include "machine/launch.hpp"

namespace cuda_emulator {

struct Options {
  std::uint32_t multiprocessors = 4;  ///< CUDA_EMULATOR_SMS
  OrderOptions order;                 ///< CUDA_EMULATOR_ORDER=forward|reverse|random[:seed]
  bool check_races = true;            ///< CUDA_EMULATOR_RACES=0 turns the race check off, for speed.
  bool statistics = false;            ///< CUDA_EMULATOR_STATS=1
  bool counts = false;                ///< CUDA_EMULATOR_STATS=full counts accesses too, which is slower.
  std::string kernel_log;             ///< CUDA_EMULATOR_KERNEL_LOG: file to which launch counts are appended.
};

/// Reads the environment. A value that makes no sense ends the process, because a test must not run
/// unchecked.
Options read_options();

}  // namespace cuda_emulator
