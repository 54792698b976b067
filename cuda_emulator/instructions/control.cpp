// control.cpp - branches, calls, barriers, fences.
#include "instructions/handlers.hpp"
#include "machine/block.hpp"

namespace cuda_emulator {
namespace {

bool run_branch(const Instruction& i, Lane& lane) {
  lane.next = lane.program->code.data() + i.target;
  return true;
}

/// Copies arguments or results between the frames of caller and callee.
void copy_places(const std::vector<Place>& from, const Region& source, const std::vector<Place>& to,
                 const Region& target) {
  for (std::size_t k = 0; k < from.size() && k < to.size(); ++k) {
    std::memcpy(target.bytes + to[k].offset, source.bytes + from[k].offset,
                std::min(from[k].bytes, to[k].bytes));
  }
}

bool run_call(const Instruction& i, Lane& lane) {
  const Call& call = lane.program->calls[i.target];
  const Frame caller{lane.program, lane.next, &call, lane.slots, lane.frame, lane.local_base};
  lane.callers.push_back(caller);
  lane.local_base += lane.program->local_bytes;
  lane.program = call.callee;
  lane.block->enter_frame(lane);
  copy_places(call.arguments, caller.memory, call.callee->parameters, lane.frame);
  lane.next = lane.program->code.data();
  return true;
}

bool run_return(const Instruction&, Lane& lane) {
  if (lane.callers.empty()) {
    lane.state = LaneState::done;
    return false;
  }
  const Frame caller = lane.callers.back();
  lane.callers.pop_back();
  copy_places(lane.program->returns, lane.frame, caller.call->results, caller.memory);
  lane.frames.pop_back();
  lane.program = caller.program;
  lane.next = caller.next;
  lane.slots = caller.slots;
  lane.frame = caller.memory;
  lane.local_base = caller.local_base;
  return true;
}

bool run_exit(const Instruction&, Lane& lane) {
  lane.state = LaneState::done;
  return false;
}

bool run_trap(const Instruction& i, Lane& lane) {
  lane.block->report(Fault::trap, lane, i, "the kernel stopped itself");
  lane.state = LaneState::done;
  return false;
}

bool run_barrier(const Instruction& i, Lane& lane) {
  lane.state = LaneState::at_barrier;
  lane.waiting = &i;
  lane.barrier = read<std::uint32_t>(lane, i.a);
  lane.barrier_threads = (i.options & kBarrierCounted) != 0 ? read<std::uint32_t>(lane, i.b) : 0;
  return false;
}

bool run_barrier_arrive(const Instruction& i, Lane& lane) {
  lane.block->barrier_arrive(read<std::uint32_t>(lane, i.a));
  return true;
}

bool run_fence(const Instruction& i, Lane& lane) {
  if (lane.block->check_races()) lane.block->fence(lane, static_cast<Scope>(i.mode));
  return true;
}

bool run_clock(const Instruction& i, Lane& lane) {
  lane.slots[i.dst] =
      lane.block->executed() + static_cast<std::uint64_t>(lane.next - lane.program->code.data());
  return true;
}

bool run_nothing(const Instruction&, Lane&) { return true; }

Handler select_barrier(Selection& selection) {
  Modifiers& modifiers = selection.modifiers;
  Instruction& out = selection.out;
  modifiers.drop({"cta"});
  // bar.* means barrier.*.aligned: all threads of a warp must reach the same instruction.
  if (modifiers.take("aligned") || selection.opcode == "bar") out.options |= kBarrierAligned;
  selection.layout = Layout::sources;
  if (modifiers.take("arrive")) return run_barrier_arrive;
  if (modifiers.take("red")) {
    out.mode = static_cast<std::uint8_t>(1 + modifiers.take_one({"popc", "and", "or"}));
    modifiers.take_type();
    selection.layout = Layout::barrier_reduction;
    return out.mode == 0 ? nullptr : run_barrier;
  }
  return modifiers.take("sync") ? run_barrier : nullptr;
}

Handler select_fence(Selection& selection) {
  Modifiers& modifiers = selection.modifiers;
  modifiers.drop({"sc", "acq_rel", "acquire", "release"});
  const int scope = modifiers.take_one({"cta", "gl", "sys", "gpu"});
  selection.out.mode = static_cast<std::uint8_t>(scope == 0 ? Scope::block : Scope::device);
  return scope < 0 ? nullptr : run_fence;
}

}  // namespace

Handler clock_handler() { return run_clock; }
Handler call_handler() { return run_call; }

bool select_control(Selection& selection) {
  const std::string_view opcode = selection.opcode;
  Instruction& out = selection.out;
  if (opcode == "bra") {
    selection.modifiers.take("uni");
    selection.layout = Layout::branch;
    out.run = run_branch;
  } else if (opcode == "call") {
    selection.modifiers.take("uni");
    selection.layout = Layout::call;
    out.run = run_call;
  } else if (opcode == "ret" || opcode == "exit") {
    selection.modifiers.take("uni");
    out.run = opcode == "ret" ? run_return : run_exit;
  } else if (opcode == "trap" || opcode == "brkpt") {
    out.run = run_trap;
  } else if ((opcode == "bar" && selection.modifiers.first() != "warp") || opcode == "barrier") {
    out.run = select_barrier(selection);
  } else if (opcode == "membar" || opcode == "fence") {
    out.run = select_fence(selection);
  } else if (opcode == "nanosleep" || opcode == "pragma") {
    selection.modifiers = Modifiers({});
    selection.layout = Layout::ignored;
    out.run = run_nothing;
  } else {
    return false;
  }
  return out.run != nullptr;
}

}  // namespace cuda_emulator
