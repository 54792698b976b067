// block.hpp - the threads of one block, their shared memory and their barriers.
#pragma once

#include <cstdint>
#include <map>
#include <memory>
#include <string>
#include <vector>

#include "machine/access_counter.hpp"
#include "machine/lane.hpp"
#include "machine/launch.hpp"

namespace cuda_emulator {

class Block {
 public:
  explicit Block(Launch& launch);
  ~Block();
  Block(const Block&) = delete;
  Block& operator=(const Block&) = delete;

  void start(std::uint64_t index);
  /// Runs about `budget` instructions. Returns true once all threads have returned.
  bool run(Schedule& schedule, std::uint64_t budget);

  // Used by the handlers.
  Launch& launch() { return launch_; }
  BlockId id() const { return id_; }
  bool check_races() const { return launch_.check_races; }
  Region& shared() { return shared_; }
  Region& parameters() { return parameters_; }
  Allocation* find_global(std::uint64_t address) { return launch_.memory->find(address); }

  /// Reports a fault at the instruction that `lane` is executing.
  void report(Fault fault, const Lane& lane, const Instruction& instruction, const std::string& what);
  void check_race(Region& region, std::uint64_t offset, std::uint32_t bytes, const Instruction& instruction,
                  Lane& lane, bool write);
  void fence(Lane& lane, Scope scope);
  void strong_access(std::uint64_t address, Space space, Lane& lane, StrongAccess kind);
  /// Runs the operation for all lanes that `lane` waits for, if all of them have arrived.
  bool try_warp_operation(Lane& lane);
  void barrier_arrive(std::uint32_t barrier) { ++arrived_[barrier]; }
  void enter_frame(Lane& lane) const;
  std::uint64_t executed() const { return executed_; }

 private:
  void report_race(const Region& region, std::uint64_t offset, const Conflict& conflict,
                   const Instruction& instruction, const Lane& lane, bool write);
  void start_lane(Lane& lane);
  void set_specials(Lane& lane) const;
  template <bool counts>
  std::uint32_t run_lane(Lane& lane, std::uint32_t budget);
  bool release_barriers();
  bool release_barrier(std::uint32_t barrier);
  void check_alignment(const std::vector<Lane*>& waiting);
  void pass_barrier(const std::vector<Lane*>& waiting);
  void synchronise(const std::vector<Lane*>& lanes, bool whole_block);
  void report_stuck();
  void report_stuck_warp(const Lane& lane);
  void give_up();

  Launch& launch_;
  BlockId id_ = 0;
  std::uint64_t index_ = 0;
  Dim3 position_;
  std::vector<Lane> lanes_;
  std::vector<std::uint64_t> slots_;
  std::vector<char> shared_bytes_;
  std::vector<std::uint8_t> shared_states_;
  Shadow shared_shadow_;
  Region shared_;
  Region parameters_;
  SyncTable shared_sync_;
  std::map<std::uint32_t, std::uint32_t> arrived_;  // Arrivals by bar.arrive, which does not wait.
  std::vector<std::uint32_t> missing_;              // Per warp, the lane that was missing last.
  std::uint32_t running_ = 0;
  std::uint64_t executed_ = 0;
  AccessCounter counter_;
};

/// Options of a barrier instruction.
enum BarrierOption : std::uint8_t { kBarrierAligned = 1, kBarrierCounted = 2 };

/// Returns whether a warp operation also makes earlier memory accesses visible. Only __syncwarp does.
bool orders_memory(const Instruction& instruction);
/// Runs a warp operation for the lanes of `mask`, all of which have arrived.
void run_warp_operation(const Instruction& instruction, Lane* warp, std::uint32_t mask);

}  // namespace cuda_emulator
