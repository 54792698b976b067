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
  std::uint64_t base = 0;  ///< Kept after the free, for reports.
  std::uint64_t bytes = 0;
  std::string origin;  ///< The call that made it ("cudaMalloc #7"), or the variable's name.
  std::vector<std::uint8_t> states;
  Shadow shadow;
};

/// Device addresses lie in a range that the host can neither read nor write: a host access faults, and
/// the fault is reported. The contents lie elsewhere. No address is ever used twice, so an access after
/// the free is seen for as long as the process lives.
class DeviceMemory {
 public:
  DeviceMemory();
  ~DeviceMemory();
  DeviceMemory(const DeviceMemory&) = delete;
  DeviceMemory& operator=(const DeviceMemory&) = delete;

  /// Reserves addresses; the memory can be used once `make_live` was called. Null if the device is full.
  Allocation* reserve(std::uint64_t bytes, AllocationKind kind, std::string origin);
  void make_live(Allocation& allocation);
  void release(Allocation& allocation);
  /// Pinned host memory: the host's own address is the device's.
  Allocation* add_pinned(std::uint64_t bytes, std::string origin);

  /// The allocation, freed ones included, whose range holds `address`; else null.
  Allocation* find(std::uint64_t address);
  /// The allocation that starts nearest below `address`: what an overrun most likely ran out of.
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
