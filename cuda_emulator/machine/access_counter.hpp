// access_counter.hpp - counts what the threads of one block do while counting is on.
#pragma once

#include <cstdint>
#include <tuple>
#include <unordered_map>
#include <vector>

#include "machine/counts.hpp"
#include "machine/lane.hpp"

namespace cuda_emulator {

/// Counts the work of one block. The lanes of a warp do not run in lockstep here, so the counter notes for
/// each access how often its thread has executed that instruction before. At the end of the block, the
/// accesses of one warp with the same instruction and repetition are one request. If lanes take different
/// numbers of turns through a loop before they meet again, a device may group their accesses differently.
/// Each access takes 24 bytes until the block ends.
class AccessCounter {
 public:
  /// Call it before an instruction whose guard is true runs, because the instruction may overwrite its own
  /// address.
  void note(const Instruction& i, const Lane& lane);
  /// Adds the block's counts to `sum` and forgets them.
  void conclude(cuda_emulator_counts& sum);

 private:
  struct Touch {
    std::uint32_t warp;
    std::uint32_t site;
    std::uint32_t repetition;
    bool write;
    std::uint64_t sector;

    std::tuple<std::uint32_t, std::uint32_t, std::uint32_t, bool> request() const {
      return {warp, site, repetition, write};
    }
    bool operator<(const Touch& other) const {
      return std::tuple(request(), sector) < std::tuple(other.request(), other.sector);
    }
  };
  void note_access(const Instruction& i, const Lane& lane);

  cuda_emulator_counts counts_{};
  std::vector<Touch> touches_;
  std::unordered_map<std::uint64_t, std::uint32_t> executed_;  ///< The key is thread and site.
};

}  // namespace cuda_emulator
