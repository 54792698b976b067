// instruction.hpp - the decoded form of a kernel, which the machine runs.
//
// Every operand of an instruction is a 64-bit slot of the thread's frame. That holds for registers and also
// for constants and special registers, which are put into slots before the thread starts, so a handler need
// not distinguish kinds of operands. A slot holds a narrower value in its low bits; readers ignore the bits
// above it.
#pragma once

#include <array>
#include <cstdint>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "ptx/types.hpp"

namespace cuda_emulator {

struct Allocation;
struct Instruction;
struct Lane;
struct Program;

using Slot = std::uint32_t;
constexpr Slot kTrueSlot = 0;  ///< Always holds 1. It is the guard of an unguarded instruction.
constexpr Slot kSinkSlot = 1;  ///< Takes results that no instruction reads.

/// Runs one instruction for one thread. Returns false if the thread cannot go on now: it waits or has ended.
using Handler = bool (*)(const Instruction&, Lane&);

/// Properties of an instruction that counting needs.
struct Counted {
  enum class Kind : std::uint8_t { other, division, root, load, store, atomic } kind = Kind::other;
  Space space = Space::generic;  ///< Space of a memory access.
  std::uint8_t bytes = 0;
};

struct Instruction {
  Handler run = nullptr;
  Slot guard = kTrueSlot;
  bool guard_wanted = true;
  bool strong = false;       ///< Volatile, relaxed or atomic memory access.
  std::uint8_t mode = 0;     ///< The handler defines it: comparison, scope, shuffle kind.
  std::uint8_t options = 0;  ///< Bits that the handler defines.
  Slot dst = kSinkSlot;
  Slot dst2 = kSinkSlot;
  Slot a = kTrueSlot;
  Slot b = kTrueSlot;
  Slot c = kTrueSlot;
  Slot d = kTrueSlot;
  std::array<Slot, 4> items{};  ///< Elements of a vector operand.
  std::uint32_t target = 0;     ///< Target of a branch, or the number of a call.
  Counted counted;
  std::uint64_t offset = 0;            ///< Added to an address.
  std::uint32_t site = 0;              ///< Number in Sites, unique in the process.
  mutable Allocation* hint = nullptr;  ///< The allocation that the last execution found.
};

/// Values that differ by thread, block or launch. They are put into slots when a thread enters a frame.
enum class Special : std::uint8_t {
  tid_x,
  tid_y,
  tid_z,
  ntid_x,
  ntid_y,
  ntid_z,
  ctaid_x,
  ctaid_y,
  ctaid_z,
  nctaid_x,
  nctaid_y,
  nctaid_z,
  laneid,
  warpid,
  nwarpid,
  smid,
  nsmid,
  gridid,
  lanemask_eq,
  lanemask_lt,
  lanemask_le,
  lanemask_gt,
  lanemask_ge,
  dynamic_smem_size,
  total_smem_size,
  dynamic_shared_address,  ///< Start of `extern __shared__` memory, plus the slot's offset.
  local_address,           ///< Start of this call's local memory, plus the slot's offset.
};

struct SpecialSlot {
  Slot slot;
  Special special;
  std::uint64_t offset = 0;
};

/// Position of a parameter in the launch's parameters or in a frame.
struct Place {
  std::uint32_t offset = 0;
  std::uint32_t bytes = 0;
};

struct Call {
  const Program* callee = nullptr;
  std::vector<Place> arguments;  ///< In the caller's frame memory.
  std::vector<Place> results;
};

struct SharedArray {
  std::string name;
  std::uint32_t offset = 0;
  std::uint32_t bytes = 0;
};

/// An instruction's program, source line and text, for reports.
struct Site {
  const Program* program = nullptr;
  SourceLine source;
  std::string_view text;
};

/// Slots of thread blocks that have ended, kept for the next launch of the same program. The slots of one
/// block of a large kernel take some megabytes, and the operating system needs longer to provide them than a
/// small launch runs.
class SlotPool {
 public:
  SlotPool() = default;
  SlotPool(SlotPool&& other) noexcept : kept_(std::exchange(other.kept_, {})) {}
  SlotPool& operator=(SlotPool&&) = delete;
  ~SlotPool() { drop(); }

  /// Returns `count` slots that give() kept, with the constants in place; an empty vector if it kept none.
  std::vector<std::uint64_t> take(std::size_t count);
  /// Keeps the slots, unless all pools together would then hold more than kLimit bytes.
  void give(std::vector<std::uint64_t> slots);

 private:
  static constexpr std::size_t kLimit = std::size_t{256} << 20;
  void drop();

  std::vector<std::vector<std::uint64_t>> kept_;
};

/// A kernel or a device function.
struct Program {
  std::string name;
  std::vector<Instruction> code;
  const std::vector<std::string>* files = nullptr;  ///< The index is the number that `.loc` uses.

  Slot slots = 2;
  std::vector<std::pair<Slot, std::uint64_t>> constants{{kTrueSlot, 1}};
  std::vector<SpecialSlot> specials;

  std::uint64_t max_threads = 1024;  ///< Threads that a block may have.
  std::vector<Place> parameters;
  std::vector<Place> returns;
  std::uint32_t parameter_bytes = 0;  ///< Size of a kernel's parameters.
  std::uint32_t frame_bytes = 0;      ///< Size of a function's parameters and `.param` variables.
  std::uint32_t local_bytes = 0;
  std::uint32_t shared_bytes = 0;  ///< Static shared memory, including the redzones between arrays.
  std::uint32_t shared_bytes_declared = 0;
  std::vector<SharedArray> shared_arrays;
  std::vector<Call> calls;
  mutable SlotPool idle_slots;
};

/// The sites of all decoded instructions of the process, by number.
class Sites {
 public:
  static Sites& instance();
  std::uint32_t add(Site site);
  const Site& at(std::uint32_t number) const { return sites_[number]; }

 private:
  std::vector<Site> sites_{1};  // Number 0 is the host.
};

/// Returns "scale.cu:12", or "PTX without line information".
std::string describe_source(const Site& site);
std::string file_of(const Site& site);

/// Start of the address range of each state space without global addresses. No pointer of an x86-64 process
/// lies in these ranges.
constexpr std::uint64_t kSharedWindow = 1ull << 56;
constexpr std::uint64_t kLocalWindow = 1ull << 57;
constexpr std::uint64_t kParameterWindow = 1ull << 58;  ///< A kernel's parameters.
constexpr std::uint64_t kFrameWindow = 1ull << 59;      ///< `.param` variables inside a body.

}  // namespace cuda_emulator
