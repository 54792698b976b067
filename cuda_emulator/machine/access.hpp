// access.hpp - checks every load, store and atomic: bounds, alignment, initialisation, races.
#pragma once

#include <cstdint>

#include "machine/block.hpp"

namespace cuda_emulator {

enum class AccessKind : std::uint8_t { read, write, update };

/// Bits that acquire, release and .cta set in Instruction::options of a strong access.
enum Ordering : std::uint8_t { kAcquire = 1, kRelease = 2, kBlockScope = 4 };

/// Returns, for example, "byte 8 of the 400 bytes of cudaMalloc #3" or "byte 4 of the __shared__ array line".
std::string describe_place(const Program& program, const Region& region, std::uint64_t offset, Block& block);

/// Reports an access at an address that no region holds.
[[gnu::noinline]] void report_out_of_bounds(const Instruction& i, Lane& lane, const Region* region,
                                            std::uint64_t address, std::uint32_t bytes, AccessKind kind);
[[gnu::noinline]] void report_misaligned(const Instruction& i, Lane& lane, std::uint64_t address,
                                         std::uint32_t bytes);
[[gnu::noinline]] void report_unwritten(const Instruction& i, Lane& lane, const Region& region,
                                        std::uint64_t address, std::uint32_t bytes);
[[gnu::noinline]] void report_redzone(const Instruction& i, Lane& lane, const Region& region,
                                      std::uint64_t address, std::uint32_t bytes, AccessKind kind);
[[gnu::noinline]] void report_read_only(const Instruction& i, Lane& lane, const Region& region);
[[gnu::noinline]] Region* find_global_region(const Instruction& i, Lane& lane, std::uint64_t address);

/// Returns the region of `space` that `address` belongs to. The window of a generic address decides its
/// space.
template <Space space>
Region* region_of(const Instruction& i, Lane& lane, std::uint64_t& address, std::uint32_t bytes) {
  if constexpr (space == Space::generic) {
    if (address < kSharedWindow) return region_of<Space::global>(i, lane, address, bytes);
    if (address >= kFrameWindow) return &lane.frame;
    if (address >= kParameterWindow) return &lane.block->parameters();
    return address >= kLocalWindow ? &lane.local : &lane.block->shared();
  } else if constexpr (space == Space::shared) {
    address = kSharedWindow + static_cast<std::uint32_t>(address);
    return &lane.block->shared();
  } else if constexpr (space == Space::local) {
    address = kLocalWindow + static_cast<std::uint32_t>(address);
    return &lane.local;
  } else if constexpr (space == Space::param) {
    return address >= kFrameWindow ? &lane.frame : &lane.block->parameters();
  } else {
    Allocation* hint = i.hint;
    if (hint != nullptr && hint->region.contains(address, bytes)) return &hint->region;
    return find_global_region(i, lane, address);
  }
}

/// Checks an access and returns a pointer to its bytes, or null if the access is bad.
template <std::uint32_t bytes, AccessKind kind, Space space>
char* access(const Instruction& i, Lane& lane, std::uint64_t address) {
  Region* region = region_of<space>(i, lane, address, bytes);
  if (region == nullptr || !region->contains(address, bytes)) {
    report_out_of_bounds(i, lane, region, address, bytes, kind);
    return nullptr;
  }
  if (address % bytes != 0) {
    report_misaligned(i, lane, address, bytes);
    return nullptr;
  }
  const std::uint64_t offset = address - region->base;
  if (region->state != nullptr) {
    std::uint8_t* states = region->state + offset;
    if (any_redzone<bytes>(states)) {
      report_redzone(i, lane, *region, address, bytes, kind);
      return nullptr;
    }
    if (kind != AccessKind::write && !all_written<bytes>(states))
      report_unwritten(i, lane, *region, address, bytes);
    if (kind != AccessKind::read) std::memset(states, kWritten, bytes);
  }
  if (kind != AccessKind::read && region->read_only) {
    report_read_only(i, lane, *region);
    return nullptr;
  }
  if (region->shadow != nullptr && lane.block->check_races()) {
    lane.block->check_race(*region, offset, bytes, i, lane, kind != AccessKind::read);
  }
  return region->bytes + offset;
}

}  // namespace cuda_emulator
