// device_memory.hpp - the global memory of the emulated device.
#pragma once

#include <cstdint>
#include <deque>
#include <map>
#include <memory>
#include <string>
#include <vector>

#include "checker/shadow.hpp"
#include "memory/region.hpp"

namespace cuda_emulator {

enum class AllocationKind { device, pinned_host, variable };
enum class AllocationState { reserved, live, freed };

struct Allocation {
  Region region;
  AllocationKind kind = AllocationKind::device;
  AllocationState state = AllocationState::reserved;
  std::uint64_t base = 0;  ///< Kept after the free, because reports name it.
  std::uint64_t bytes = 0;
  std::string origin;  ///< The call that made it ("cudaMalloc #7"), or the variable's name.
  std::vector<std::uint8_t> states;
  Shadow shadow;
};

/// The global memory. Device addresses lie in a range that the host can neither read nor write, so a host
/// access faults and the emulator reports it. The contents lie elsewhere. No address is ever reused, so the
/// emulator detects an access after a free for as long as the process lives.
class DeviceMemory {
 public:
  DeviceMemory();
  ~DeviceMemory();
  DeviceMemory(const DeviceMemory&) = delete;
  DeviceMemory& operator=(const DeviceMemory&) = delete;

  /// Reserves addresses. The memory can be used after `make_live`. Returns null if the device is full.
  Allocation* reserve(std::uint64_t bytes, AllocationKind kind, std::string origin);
  void make_live(Allocation& allocation);
  void release(Allocation& allocation);
  /// Adds pinned host memory, which has the same address on the host and on the device.
  Allocation* add_pinned(std::uint64_t bytes, std::string origin);

  /// Returns the allocation whose range holds `address`, freed allocations included, or null.
  Allocation* find(std::uint64_t address);
  /// Returns the allocation that starts nearest below `address`: the one that an overrun most likely left.
  Allocation* nearest_below(std::uint64_t address);
  bool is_device_address(std::uint64_t address) const;

  std::vector<const Allocation*> live(AllocationKind kind) const;
  std::uint64_t live_bytes() const { return live_bytes_; }

 private:
  char* addresses_ = nullptr;  ///< The range that the host may not touch.
  char* contents_ = nullptr;
  std::uint64_t used_ = 0;
  std::uint64_t live_bytes_ = 0;
  std::deque<Allocation> allocations_;
  std::map<std::uint64_t, Allocation*> by_address_;
};

}  // namespace cuda_emulator
