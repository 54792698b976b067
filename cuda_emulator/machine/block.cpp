// block.cpp - starts and runs the threads of one block.
#include "machine/block.hpp"

#include <algorithm>
#include <utility>

#include "machine/access.hpp"

namespace cuda_emulator {
namespace {

constexpr std::uint64_t kCallStackBytes = 16384;  // Local memory for called functions, per thread.

// Faults of a launch that are described. Further ones are only counted, because a wrong kernel can be wrong
// at every element.
constexpr std::size_t kDescribedFaults = 2000;

std::uint64_t align16(std::uint64_t bytes) { return (bytes + 15) / 16 * 16; }

}  // namespace

Block::Block(Launch& launch) : launch_(launch), lanes_(launch.block.count()) {
  const Program& program = *launch.program;
  const std::size_t slots = lanes_.size() * program.slots;
  slots_ = program.idle_slots.take(slots);
  const bool fresh = slots_.empty();
  if (fresh) slots_.resize(slots);
  missing_.resize((lanes_.size() + kWarpSize - 1) / kWarpSize);
  for (std::size_t k = 0; k < lanes_.size(); ++k) {
    Lane& lane = lanes_[k];
    lane.block = this;
    lane.thread = static_cast<std::uint32_t>(k);
    // No instruction writes the slots of constants, so they stay for every block that uses these slots.
    if (fresh) {
      for (const auto& [slot, value] : program.constants) slots_[k * program.slots + slot] = value;
    }
    const std::uint64_t local = program.local_bytes + (program.calls.empty() ? 0 : kCallStackBytes);
    lane.local_memory.resize(local);
    lane.local_states.resize(local);
    lane.frame_memory.resize(program.frame_bytes);
  }
  const std::uint64_t shared = align16(program.shared_bytes) + launch.dynamic_shared;
  shared_bytes_.resize(shared);
  shared_states_.resize(shared);
  shared_shadow_.resize(shared);
  shared_ = {.base = kSharedWindow,
             .size = shared,
             .bytes = shared_bytes_.data(),
             .state = shared_states_.data(),
             .shadow = &shared_shadow_,
             .space = Space::shared};
  parameters_ = {.base = kParameterWindow,
                 .size = launch.parameters.size(),
                 .bytes = launch.parameters.data(),
                 .space = Space::param,
                 .read_only = true};
}

Block::~Block() { launch_.program->idle_slots.give(std::move(slots_)); }

void Block::start(std::uint64_t index) {
  index_ = index;
  id_ = launch_.first_block + static_cast<BlockId>(index);
  position_ = launch_.grid.at(index);
  running_ = static_cast<std::uint32_t>(lanes_.size());
  arrived_.clear();
  shared_sync_.clear();
  shared_shadow_.forget();
  const Program& program = *launch_.program;
  std::fill(shared_bytes_.begin(), shared_bytes_.end(), static_cast<char>(0xff));
  std::fill(shared_states_.begin(), shared_states_.end(), kUnwritten);
  std::fill_n(shared_states_.begin(), std::min<std::size_t>(program.shared_bytes, shared_states_.size()),
              kRedzone);
  for (const SharedArray& array : program.shared_arrays) {
    std::fill_n(shared_states_.begin() + array.offset, array.bytes, kUnwritten);
  }
  for (Lane& lane : lanes_) start_lane(lane);
}

void Block::start_lane(Lane& lane) {
  const Program& program = *launch_.program;
  lane.program = &program;
  lane.slots = slots_.data() + std::size_t{lane.thread} * program.slots;
  lane.next = program.code.data();
  lane.state = LaneState::ready;
  lane.local_base = 0;
  lane.callers.clear();
  lane.frames.clear();
  std::fill(lane.local_memory.begin(), lane.local_memory.end(), static_cast<char>(0xff));
  std::fill(lane.local_states.begin(), lane.local_states.end(), kUnwritten);
  lane.local = {.base = kLocalWindow,
                .size = lane.local_memory.size(),
                .bytes = lane.local_memory.data(),
                .state = lane.local_states.data(),
                .space = Space::local};
  lane.frame = {.base = kFrameWindow,
                .size = lane.frame_memory.size(),
                .bytes = lane.frame_memory.data(),
                .space = Space::param};
  lane.knowledge = {};
  lane.fences = {};
  set_specials(lane);
}

void Block::enter_frame(Lane& lane) const {
  const Program& program = *lane.program;
  auto storage = std::make_unique<FrameStorage>();
  storage->slots.resize(program.slots);
  storage->memory.resize(program.frame_bytes);
  lane.slots = storage->slots.data();
  lane.frame = {.base = kFrameWindow,
                .size = program.frame_bytes,
                .bytes = storage->memory.data(),
                .space = Space::param};
  lane.frames.push_back(std::move(storage));
  for (const auto& [slot, value] : program.constants) lane.slots[slot] = value;
  set_specials(lane);
}

void Block::set_specials(Lane& lane) const {
  const Dim3 thread = launch_.block.at(lane.thread);
  const std::uint32_t self = 1u << lane.lane();
  const std::uint32_t below = self - 1;
  // clang-format off
  const std::uint64_t values[] = {
      thread.x, thread.y, thread.z,
      launch_.block.x, launch_.block.y, launch_.block.z,
      position_.x, position_.y, position_.z,
      launch_.grid.x, launch_.grid.y, launch_.grid.z,
      lane.lane(), lane.warp(), missing_.size(),
      index_ % launch_.resident_blocks, launch_.resident_blocks, launch_.first_block,
      self, below, below | self,
      static_cast<std::uint32_t>(~(below | self)), static_cast<std::uint32_t>(~below),
      launch_.dynamic_shared, launch_.program->shared_bytes_declared + launch_.dynamic_shared,
      align16(launch_.program->shared_bytes), lane.local_base,
  };
  // clang-format on
  static_assert(std::size(values) == static_cast<std::size_t>(Special::local_address) + 1);
  for (const SpecialSlot& slot : lane.program->specials) {
    lane.slots[slot.slot] = values[static_cast<std::size_t>(slot.special)] + slot.offset;
  }
}

template <bool counts>
std::uint32_t Block::run_lane(Lane& lane, std::uint32_t budget) {
  const std::uint32_t given = budget;
  while (budget > 0) {
    --budget;
    const Instruction& i = *lane.next;
    ++lane.next;
    if (((lane.slots[i.guard] & 1) != 0) != i.guard_wanted) continue;
    if constexpr (counts) counter_.note(i, lane);
    if (!i.run(i, lane)) break;
  }
  if (lane.state == LaneState::done) --running_;
  return given - budget;
}

bool Block::run(Schedule& schedule, std::uint64_t budget) {
  const auto count = static_cast<std::uint32_t>(lanes_.size());
  std::uint64_t spent = 0;
  while (running_ > 0) {
    bool progress = false;
    for (const std::uint32_t k : schedule.round(count)) {
      Lane& lane = lanes_[k];
      if (lane.state != LaneState::ready) continue;
      progress = true;
      spent += launch_.counts != nullptr ? run_lane<true>(lane, schedule.quantum())
                                         : run_lane<false>(lane, schedule.quantum());
    }
    if (!progress && !release_barriers()) {
      report_stuck();
      give_up();
    }
    if (spent >= budget) break;
  }
  executed_ += spent;
  launch_.instructions += spent;
  if (running_ == 0 && launch_.counts != nullptr) counter_.conclude(*launch_.counts);
  return running_ == 0;
}

void Block::report(Fault fault, const Lane& lane, const Instruction& instruction, const std::string& what) {
  launch_.faults.push_back(fault);
  if (launch_.faults.size() > kDescribedFaults) {
    Reports::instance().add_undescribed();
    return;
  }
  const Site& site = Sites::instance().at(instruction.site);
  Reports::instance().add({fault, describe(launch_, id_, lane.thread, site),
                           "`" + std::string(site.text) + "`: " + what, file_of(site), site.source.line});
}

void Block::check_race(Region& region, std::uint64_t offset, std::uint32_t bytes,
                       const Instruction& instruction, Lane& lane, bool write) {
  const Accessor accessor{.block = id_,
                          .thread = lane.thread,
                          .knowledge = &lane.knowledge,
                          .first_block = launch_.first_block,
                          .order = launch_.order,
                          .site = instruction.site,
                          .write = write,
                          .strong = instruction.strong};
  const auto conflict = region.shadow->record(offset, bytes, accessor);
  if (conflict) report_race(region, offset, *conflict, instruction, lane, write);
}

void Block::report_race(const Region& region, std::uint64_t offset, const Conflict& conflict,
                        const Instruction& instruction, const Lane& lane, bool write) {
  const auto text = [](Dim3 d) {
    return "(" + std::to_string(d.x) + "," + std::to_string(d.y) + "," + std::to_string(d.z) + ")";
  };
  std::string what =
      (write ? "writes " : "reads ") + describe_place(*launch_.program, region, offset, *this) + " that ";
  if (conflict.block < launch_.first_block) {
    what += "earlier work, not ordered before this launch by a stream, an event or the host, ";
  } else {
    what += "block " + text(launch_.grid.at(conflict.block - launch_.first_block)) + ", thread " +
            text(launch_.block.at(conflict.thread)) + " ";
  }
  what += conflict.wrote ? "wrote" : "read";
  if (conflict.site != 0) what += " at " + describe_source(Sites::instance().at(conflict.site));
  report(Fault::race, lane, instruction, what + ", and nothing orders the two");
}

void Block::fence(Lane& lane, Scope scope) {
  cuda_emulator::fence(lane.knowledge, lane.fences, id_, lane.thread, scope);
}

void Block::strong_access(std::uint64_t address, Space space, Lane& lane, StrongAccess kind) {
  const bool in_shared = space == Space::shared || (address >= kSharedWindow && address < kLocalWindow);
  SyncTable& table = in_shared ? shared_sync_ : launch_.sync;
  const std::uint64_t key = in_shared ? static_cast<std::uint32_t>(address) : address;
  table.access(key, id_, lane.fences, kind);
}

void Block::give_up() {
  for (Lane& lane : lanes_) lane.state = LaneState::done;
  running_ = 0;
}

}  // namespace cuda_emulator
