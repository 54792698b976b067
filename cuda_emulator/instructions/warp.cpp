// warp.cpp - operations that the lanes of a warp execute together.
#include <algorithm>
#include <bit>

#include "instructions/handlers.hpp"
#include "machine/block.hpp"

namespace cuda_emulator {
namespace {

enum Operation : std::uint8_t {
  kSyncWarp,
  kShuffleUp,
  kShuffleDown,
  kShuffleButterfly,
  kShuffleIndex,
  kVoteAll,
  kVoteAny,
  kVoteUniform,
  kVoteBallot,
  kMatchAny,
  kMatchAll,
  kReduceAdd,
  kReduceMin,
  kReduceMax,
  kReduceAnd,
  kReduceOr,
  kReduceXor,
  kElect,
};
enum Option : std::uint8_t { kSignedValue = 1, kWideValue = 2 };

bool is_shuffle(std::uint8_t mode) { return mode >= kShuffleUp && mode <= kShuffleIndex; }

/// Returns the slot of the member mask. Its place among the operands depends on the operation.
Slot mask_slot(const Instruction& i) {
  if (i.mode == kSyncWarp || i.mode == kElect) return i.a;
  return is_shuffle(i.mode) ? i.d : i.b;
}

bool run_arrive(const Instruction& i, Lane& lane) {
  lane.state = LaneState::at_warp_operation;
  lane.waiting = &i;
  lane.mask = read<std::uint32_t>(lane, mask_slot(i));
  if ((lane.mask >> lane.lane() & 1) == 0) {
    lane.block->report(Fault::inactive_lane, lane, i, "the calling lane is not in its own member mask");
    lane.mask |= 1u << lane.lane();
  }
  return lane.block->try_warp_operation(lane);
}

/// Calls `visit(lane number)` for each lane of the mask.
template <class Visit>
void each_lane(std::uint32_t mask, Visit visit) {
  for (; mask != 0; mask &= mask - 1) visit(static_cast<std::uint32_t>(std::countr_zero(mask)));
}

struct Source {
  std::uint32_t lane;
  bool in_range;
};

/// Returns the lane that `lane` reads, following the pseudocode of shfl.sync.
Source shuffle_source(const Instruction& i, const Lane& lane) {
  const auto number = static_cast<std::int32_t>(lane.lane());
  const auto b = static_cast<std::int32_t>(read<std::uint32_t>(lane, i.b) & 31);
  const auto clamp = static_cast<std::int32_t>(read<std::uint32_t>(lane, i.c) & 31);
  const auto segment = static_cast<std::int32_t>(read<std::uint32_t>(lane, i.c) >> 8 & 31);
  const std::int32_t last = (number & segment) | (clamp & ~segment);
  const std::int32_t first = number & segment;
  std::int32_t source = 0;
  bool in_range = false;
  switch (i.mode) {
    case kShuffleUp:
      source = number - b;
      in_range = source >= last;
      break;
    case kShuffleDown:
      source = number + b;
      in_range = source <= last;
      break;
    case kShuffleButterfly:
      source = number ^ b;
      in_range = source <= last;
      break;
    default:
      source = first | (b & ~segment);
      in_range = source <= last;
      break;
  }
  return {static_cast<std::uint32_t>(in_range ? source : number), in_range};
}

void shuffle(const Instruction& i, Lane* warp, std::uint32_t mask) {
  std::uint64_t results[kWarpSize];
  bool in_range[kWarpSize];
  each_lane(mask, [&](std::uint32_t k) {
    const Source source = shuffle_source(i, warp[k]);
    in_range[k] = source.in_range;
    results[k] = ~0u;
    if ((mask >> source.lane & 1) != 0) {
      results[k] = read<std::uint32_t>(warp[source.lane], i.a);
    } else {
      warp[k].block->report(
          Fault::inactive_lane, warp[k], i,
          "reads lane " + std::to_string(source.lane) + ", which is not in the member mask");
    }
  });
  each_lane(mask, [&](std::uint32_t k) {
    warp[k].slots[i.dst] = results[k];
    warp[k].slots[i.dst2] = in_range[k];
  });
}

void vote(const Instruction& i, Lane* warp, std::uint32_t mask) {
  std::uint32_t ballot = 0;
  each_lane(mask,
            [&](std::uint32_t k) { ballot |= static_cast<std::uint32_t>(warp[k].slots[i.a] & 1) << k; });
  std::uint32_t result = ballot;
  if (i.mode == kVoteAll) result = ballot == mask;
  if (i.mode == kVoteAny) result = ballot != 0;
  if (i.mode == kVoteUniform) result = ballot == mask || ballot == 0;
  each_lane(mask, [&](std::uint32_t k) { warp[k].slots[i.dst] = result; });
}

void match(const Instruction& i, Lane* warp, std::uint32_t mask) {
  const std::uint64_t width = (i.options & kWideValue) != 0 ? ~std::uint64_t{0} : 0xffffffffu;
  std::uint32_t equal[kWarpSize] = {};
  each_lane(mask, [&](std::uint32_t k) {
    each_lane(mask, [&](std::uint32_t other) {
      const bool same = ((warp[k].slots[i.a] ^ warp[other].slots[i.a]) & width) == 0;
      equal[k] |= static_cast<std::uint32_t>(same) << other;
    });
  });
  each_lane(mask, [&](std::uint32_t k) {
    const bool all = equal[k] == mask;
    warp[k].slots[i.dst] = i.mode == kMatchAny || all ? equal[k] : 0;
    warp[k].slots[i.dst2] = all;
  });
}

std::uint32_t reduce_two(const Instruction& i, std::uint32_t x, std::uint32_t y) {
  const bool less =
      (i.options & kSignedValue) != 0 ? static_cast<std::int32_t>(x) < static_cast<std::int32_t>(y) : x < y;
  switch (i.mode) {
    case kReduceAdd:
      return x + y;
    case kReduceMin:
      return less ? x : y;
    case kReduceMax:
      return less ? y : x;
    case kReduceAnd:
      return x & y;
    case kReduceOr:
      return x | y;
    default:
      return x ^ y;
  }
}

void reduce(const Instruction& i, Lane* warp, std::uint32_t mask) {
  auto result = read<std::uint32_t>(warp[std::countr_zero(mask)], i.a);
  each_lane(mask & (mask - 1),
            [&](std::uint32_t k) { result = reduce_two(i, result, read<std::uint32_t>(warp[k], i.a)); });
  each_lane(mask, [&](std::uint32_t k) { warp[k].slots[i.dst] = result; });
}

void elect(const Instruction& i, Lane* warp, std::uint32_t mask) {
  const auto leader = static_cast<std::uint32_t>(std::countr_zero(mask));
  each_lane(mask, [&](std::uint32_t k) {
    warp[k].slots[i.dst] = leader;
    warp[k].slots[i.dst2] = k == leader;
  });
}

int mode_of(Selection& selection) {
  Modifiers& modifiers = selection.modifiers;
  const std::string_view opcode = selection.opcode;
  const auto offset = [](int base, int which) { return which < 0 ? -1 : base + which; };
  if (opcode == "bar") return modifiers.take("warp") ? kSyncWarp : -1;
  if (opcode == "shfl") return offset(kShuffleUp, modifiers.take_one({"up", "down", "bfly", "idx"}));
  if (opcode == "vote") return offset(kVoteAll, modifiers.take_one({"all", "any", "uni", "ballot"}));
  if (opcode == "match") return offset(kMatchAny, modifiers.take_one({"any", "all"}));
  if (opcode == "redux") {
    return offset(kReduceAdd, modifiers.take_one({"add", "min", "max", "and", "or", "xor"}));
  }
  return opcode == "elect" ? kElect : -1;
}

}  // namespace

void run_warp_operation(const Instruction& i, Lane* warp, std::uint32_t mask) {
  if (is_shuffle(i.mode)) {
    shuffle(i, warp, mask);
  } else if (i.mode >= kVoteAll && i.mode <= kVoteBallot) {
    vote(i, warp, mask);
  } else if (i.mode == kMatchAny || i.mode == kMatchAll) {
    match(i, warp, mask);
  } else if (i.mode >= kReduceAdd && i.mode <= kReduceXor) {
    reduce(i, warp, mask);
  } else if (i.mode == kElect) {
    elect(i, warp, mask);
  }
}

bool orders_memory(const Instruction& instruction) { return instruction.mode == kSyncWarp; }

bool select_warp(Selection& selection) {
  const int mode = mode_of(selection);
  if (mode < 0) return false;
  // Without .sync, the lanes that happen to arrive would take part. The emulator does not model that.
  if (!selection.modifiers.take("sync")) return false;
  const Type type = selection.modifiers.take_type();
  if (is_float(type)) return false;
  Instruction& out = selection.out;
  if (is_signed(type)) out.options |= kSignedValue;
  if (type == Type::b64) out.options |= kWideValue;
  out.mode = static_cast<std::uint8_t>(mode);
  out.run = run_arrive;
  if (mode == kSyncWarp) selection.layout = Layout::sources;
  return true;
}

}  // namespace cuda_emulator
