// clock.cpp - vector clocks: the happens-before order within one launch.
#include "checker/clock.hpp"

#include <algorithm>

namespace cuda_emulator {
namespace {

std::uint64_t key(BlockId block, std::uint32_t thread) { return std::uint64_t{block} * 2048 + thread; }

}  // namespace

void VectorClock::raise(BlockId block, std::uint32_t thread, Clock clock) {
  const std::uint64_t wanted = key(block, thread);
  auto place = std::lower_bound(entries_.begin(), entries_.end(), Entry{wanted, 0});
  if (place == entries_.end() || place->first != wanted) {
    entries_.insert(place, {wanted, clock});
  } else {
    place->second = std::max(place->second, clock);
  }
}

void VectorClock::join(const VectorClock& other) {
  std::vector<Entry> joined;
  joined.reserve(entries_.size() + other.entries_.size());
  std::merge(entries_.begin(), entries_.end(), other.entries_.begin(), other.entries_.end(),
             std::back_inserter(joined));
  entries_.clear();
  for (const Entry& entry : joined) {
    // Equal keys are neighbours, and the lower clock comes first.
    if (!entries_.empty() && entries_.back().first == entry.first) {
      entries_.back().second = entry.second;
    } else {
      entries_.push_back(entry);
    }
  }
}

bool VectorClock::knows(BlockId block, std::uint32_t thread, Clock clock) const {
  for (const std::uint64_t wanted : {key(block, thread), key(block, kMaxThreads)}) {
    const auto place = std::lower_bound(entries_.begin(), entries_.end(), Entry{wanted, 0});
    if (place != entries_.end() && place->first == wanted && place->second >= clock) return true;
  }
  return false;
}

void join(SharedClock& clock, const SharedClock& other) {
  if (other == nullptr || other == clock) return;
  if (clock == nullptr) {
    clock = other;
    return;
  }
  auto joined = std::make_shared<VectorClock>(*clock);
  joined->join(*other);
  clock = std::move(joined);
}

VectorClock Knowledge::published(BlockId id, std::uint32_t thread) const {
  VectorClock clock = others != nullptr ? *others : VectorClock{};
  if (block > 0) clock.raise(id, kMaxThreads, block);
  const std::uint32_t first_of_warp = thread / kWarpSize * kWarpSize;
  for (std::uint32_t lane = 0; lane < kWarpSize; ++lane) {
    if (lanes[lane] > block) clock.raise(id, first_of_warp + lane, lanes[lane]);
  }
  clock.raise(id, thread, own);
  return clock;
}

}  // namespace cuda_emulator
