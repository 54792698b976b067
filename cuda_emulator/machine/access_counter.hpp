// access_counter.hpp - counts what the threads of one block do, where counting was asked for.
#pragma once

#include <cstdint>
#include <tuple>
#include <unordered_map>
#include <vector>

#include "machine/counts.hpp"
#include "machine/lane.hpp"

namespace cuda_emulator {

/// The lanes of a warp do not run in lockstep here. So each access is noted with how often its thread had
/// executed that instruction before, and at the end of the block those of one warp, instruction and
/// repetition are one request. Where lanes of a warp take different numbers of turns before they meet again,
/// a device may group them otherwise. Takes 24 bytes for each access until then.
class AccessCounter {
 public:
  /// Before the instruction runs, whose guard is true: it may overwrite its own address.
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
  std::unordered_map<std::uint64_t, std::uint32_t> executed_;  ///< By thread and site.
};

}  // namespace cuda_emulator
