// access_counter.cpp - counts divisions, roots and memory accesses.
#include "machine/access_counter.hpp"

#include <algorithm>

namespace cuda_emulator {
namespace {

constexpr std::uint64_t kSectorBytes = 32;

/// Returns the space that an access goes to. The window of a generic address decides its space.
Space actual_space(const Instruction& i, std::uint64_t address) {
  if (i.counted.space != Space::generic) return i.counted.space;
  if (address < kSharedWindow) return Space::global;
  return address >= kLocalWindow && address < kParameterWindow ? Space::local : Space::shared;
}

}  // namespace

void AccessCounter::note(const Instruction& i, const Lane& lane) {
  switch (i.counted.kind) {
    case Counted::Kind::other:
      break;
    case Counted::Kind::division:
      ++counts_.divisions;
      break;
    case Counted::Kind::root:
      ++counts_.roots;
      break;
    case Counted::Kind::load:
    case Counted::Kind::store:
    case Counted::Kind::atomic:
      note_access(i, lane);
      break;
  }
}

void AccessCounter::note_access(const Instruction& i, const Lane& lane) {
  const std::uint64_t address = lane.slots[i.a] + i.offset;
  const Space space = actual_space(i, address);
  if (space == Space::local) ++counts_.local_accesses;
  if (space != Space::global) return;
  const Counted::Kind kind = i.counted.kind;
  ++(kind == Counted::Kind::load    ? counts_.loads
     : kind == Counted::Kind::store ? counts_.stores
                                    : counts_.atomics);
  if (kind != Counted::Kind::store) counts_.bytes_read += i.counted.bytes;
  if (kind != Counted::Kind::load) counts_.bytes_written += i.counted.bytes;
  // An access is at most 16 bytes wide and aligned to its width, so it lies in one sector.
  const std::uint32_t repetition = executed_[std::uint64_t{lane.thread} << 32 | i.site]++;
  touches_.push_back({lane.warp(), i.site, repetition, kind != Counted::Kind::load, address / kSectorBytes});
}

void AccessCounter::conclude(cuda_emulator_counts& sum) {
  std::sort(touches_.begin(), touches_.end());
  for (std::size_t k = 0; k < touches_.size(); ++k) {
    const Touch& touch = touches_[k];
    const bool same_request = k > 0 && touches_[k - 1].request() == touch.request();
    const bool same_sector = same_request && touches_[k - 1].sector == touch.sector;
    if (!same_request) ++(touch.write ? sum.write_requests : sum.read_requests);
    if (!same_sector) ++(touch.write ? sum.write_sectors : sum.read_sectors);
  }
  sum.divisions += counts_.divisions;
  sum.roots += counts_.roots;
  sum.loads += counts_.loads;
  sum.stores += counts_.stores;
  sum.atomics += counts_.atomics;
  sum.local_accesses += counts_.local_accesses;
  sum.bytes_read += counts_.bytes_read;
  sum.bytes_written += counts_.bytes_written;
  counts_ = {};
  touches_.clear();
  executed_.clear();
}

}  // namespace cuda_emulator
