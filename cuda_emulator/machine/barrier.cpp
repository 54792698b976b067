// barrier.cpp - releases threads that wait for each other, and reports threads that wait in vain.
#include <algorithm>
#include <bit>

#include "machine/block.hpp"

namespace cuda_emulator {
namespace {

enum BarrierReduction : std::uint8_t { kNone, kCount, kAll, kAny };

void reduce_barrier(const std::vector<Lane*>& waiting) {
  std::uint32_t votes = 0;
  for (const Lane* lane : waiting) {
    // bar.red d, a{, b}, p: the predicate is the last operand.
    const Instruction& i = *lane->waiting;
    const Slot predicate = (i.options & kBarrierCounted) != 0 ? i.c : i.b;
    votes += static_cast<std::uint32_t>(lane->slots[predicate] & 1);
  }
  for (Lane* lane : waiting) {
    const Instruction& i = *lane->waiting;
    if (i.mode == kCount) lane->slots[i.dst] = votes;
    if (i.mode == kAll) lane->slots[i.dst] = votes == waiting.size();
    if (i.mode == kAny) lane->slots[i.dst] = votes > 0;
  }
}

std::string where(const Instruction& instruction) {
  return describe_source(Sites::instance().at(instruction.site));
}

}  // namespace

bool Block::release_barriers() {
  std::vector<std::uint32_t> barriers;
  for (const Lane& lane : lanes_) {
    if (lane.state != LaneState::at_barrier) continue;
    if (std::find(barriers.begin(), barriers.end(), lane.barrier) == barriers.end())
      barriers.push_back(lane.barrier);
  }
  bool released = false;
  for (const std::uint32_t barrier : barriers) released = release_barrier(barrier) || released;
  return released;
}

bool Block::release_barrier(std::uint32_t barrier) {
  std::vector<Lane*> waiting;
  for (Lane& lane : lanes_) {
    if (lane.state == LaneState::at_barrier && lane.barrier == barrier) waiting.push_back(&lane);
  }
  const std::uint32_t counted = waiting.front()->barrier_threads;
  const std::size_t wanted = counted != 0 ? counted : lanes_.size();
  const auto arrived = arrived_.find(barrier);
  const std::size_t present = waiting.size() + (arrived == arrived_.end() ? 0 : arrived->second);
  if (present < wanted) {
    // Threads that have returned never arrive. Reports them and lets the waiting threads go on.
    if (counted != 0 || present + (lanes_.size() - running_) < wanted) return false;
    const auto gone = std::find_if(lanes_.begin(), lanes_.end(),
                                   [](const Lane& lane) { return lane.state == LaneState::done; });
    report(Fault::barrier_divergence, *waiting.front(), *waiting.front()->waiting,
           std::to_string(waiting.size()) + " of " + std::to_string(lanes_.size()) +
               " threads wait here; the others have returned, thread " + std::to_string(gone->thread) +
               " first");
  }
  check_alignment(waiting);
  pass_barrier(waiting);
  return true;
}

/// Reports threads of one warp that wait at different instructions of an aligned barrier. A barrier that is
/// not .aligned allows that.
void Block::check_alignment(const std::vector<Lane*>& waiting) {
  for (std::size_t k = 1; k < waiting.size(); ++k) {
    const Lane& one = *waiting[k - 1];
    const Lane& other = *waiting[k];
    if (one.warp() != other.warp() || one.waiting == other.waiting) continue;
    if ((one.waiting->options & kBarrierAligned) == 0) continue;
    report(Fault::barrier_divergence, one, *one.waiting,
           "thread " + std::to_string(other.thread) +
               " of the same warp waits at another barrier instruction, at " + where(*other.waiting));
    return;
  }
}

void Block::pass_barrier(const std::vector<Lane*>& waiting) {
  arrived_.erase(waiting.front()->barrier);
  if (waiting.front()->waiting->mode != kNone) reduce_barrier(waiting);
  // A barrier for a given number of threads does not order the other threads, even if they have returned.
  const bool whole_block = waiting.front()->barrier_threads == 0 || waiting.size() == lanes_.size();
  if (launch_.check_races) synchronise(waiting, whole_block);
  for (Lane* lane : waiting) lane->state = LaneState::ready;
}

/// Gives each of the threads the knowledge of all of them, including fences whose knowledge was not published
/// yet.
void Block::synchronise(const std::vector<Lane*>& lanes, bool whole_block) {
  Clock highest = 0;
  SharedClock others;
  FenceState fences;
  for (const Lane* lane : lanes) {
    highest = std::max(highest, lane->knowledge.own);
    join(others, lane->knowledge.others);
    for (int scope = 0; scope < 2; ++scope) {
      join(fences.released[scope], lane->fences.released[scope]);
      join(fences.pending[scope], lane->fences.pending[scope]);
    }
  }
  const bool one_warp = lanes.front()->warp() == lanes.back()->warp();
  if (!whole_block && !one_warp) {
    VectorClock met = others != nullptr ? *others : VectorClock{};
    for (const Lane* lane : lanes) met.raise(id_, lane->thread, highest);
    others = std::make_shared<VectorClock>(std::move(met));
  }
  std::array<Clock, kWarpSize> met{};
  if (one_warp) {
    for (const Lane* lane : lanes) {
      for (std::uint32_t k = 0; k < kWarpSize; ++k) met[k] = std::max(met[k], lane->knowledge.lanes[k]);
    }
    for (const Lane* lane : lanes) met[lane->lane()] = highest;
  }
  for (Lane* lane : lanes) {
    lane->knowledge.own = highest + 1;
    if (whole_block) lane->knowledge.block = highest;
    if (one_warp) lane->knowledge.lanes = met;
    lane->knowledge.others = others;
    lane->fences = fences;
  }
}

bool Block::try_warp_operation(Lane& lane) {
  const std::uint32_t first = lane.warp() * kWarpSize;
  const auto arrived = [&](std::uint32_t number) {
    if (first + number >= lanes_.size()) return false;
    const Lane& other = lanes_[first + number];
    if (other.state != LaneState::at_warp_operation || other.mask != lane.mask) return false;
    // Lanes may reach __syncwarp at different places. The other operations exchange values, so their lanes
    // may not.
    return other.waiting == lane.waiting || (orders_memory(*other.waiting) && orders_memory(*lane.waiting));
  };
  // Ask first the lane that was missing last time, because usually it still is.
  std::uint32_t& missing = missing_[lane.warp()];
  if ((lane.mask >> missing & 1) != 0 && !arrived(missing)) return false;
  std::vector<Lane*> waiting;
  for (std::uint32_t mask = lane.mask; mask != 0; mask &= mask - 1) {
    const auto number = static_cast<std::uint32_t>(std::countr_zero(mask));
    if (!arrived(number)) {
      missing = number;
      return false;
    }
  }
  run_warp_operation(*lane.waiting, &lanes_[first], lane.mask);
  for (std::uint32_t mask = lane.mask; mask != 0; mask &= mask - 1) {
    Lane& other = lanes_[first + static_cast<std::uint32_t>(std::countr_zero(mask))];
    other.state = LaneState::ready;
    waiting.push_back(&other);
  }
  if (launch_.check_races && orders_memory(*lane.waiting)) synchronise(waiting, false);
  return true;
}

void Block::report_stuck() {
  for (const Lane& lane : lanes_) {
    if (lane.state == LaneState::at_warp_operation) {
      report_stuck_warp(lane);
      return;
    }
  }
  const auto first = std::find_if(lanes_.begin(), lanes_.end(),
                                  [](const Lane& lane) { return lane.state == LaneState::at_barrier; });
  std::string what =
      "thread " + std::to_string(first->thread) + " waits at barrier " + std::to_string(first->barrier);
  for (const Lane& lane : lanes_) {
    if (lane.state == LaneState::done || lane.waiting == first->waiting) continue;
    what += ", thread " + std::to_string(lane.thread) + " at " + where(*lane.waiting) + " for barrier " +
            std::to_string(lane.barrier);
    break;
  }
  report(Fault::barrier_divergence, *first, *first->waiting, what);
}

void Block::report_stuck_warp(const Lane& lane) {
  const std::uint32_t first = lane.warp() * kWarpSize;
  for (std::uint32_t mask = lane.mask; mask != 0; mask &= mask - 1) {
    const auto number = static_cast<std::uint32_t>(std::countr_zero(mask));
    std::string what = "waits for lane " + std::to_string(number) + ", which ";
    if (first + number >= lanes_.size()) {
      what += "does not exist";
    } else {
      const Lane& other = lanes_[first + number];
      if (other.state == LaneState::at_warp_operation && other.waiting == lane.waiting &&
          other.mask == lane.mask) {
        continue;
      }
      what += other.state == LaneState::done ? "has returned" : "waits at " + where(*other.waiting);
    }
    report(Fault::inactive_lane, lane, *lane.waiting, what);
    return;
  }
}

}  // namespace cuda_emulator
