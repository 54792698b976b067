// access.cpp - describes bad accesses in reports.
#include "machine/access.hpp"

#include <cinttypes>
#include <cstdio>

namespace cuda_emulator {
namespace {

std::string hex(std::uint64_t value) {
  char text[24];
  std::snprintf(text, sizeof text, "0x%" PRIx64, value);
  return text;
}

std::string what_is_done(AccessKind kind, std::uint32_t bytes) {
  const char* verb = kind == AccessKind::read ? "reads " : kind == AccessKind::write ? "writes " : "updates ";
  return verb + std::to_string(bytes) + " bytes";
}

std::string describe_allocation(const Allocation& allocation) {
  return "the " + std::to_string(allocation.bytes) + " bytes of " + allocation.origin;
}

/// Describes the position of `address` relative to the allocation that starts nearest below it.
std::string describe_global(DeviceMemory& memory, std::uint64_t address, std::uint32_t bytes) {
  if (address < 4096) return "near the null pointer";
  const Allocation* near = memory.nearest_below(address);
  if (near == nullptr) return "no device memory is there";
  const std::uint64_t offset = address - near->base;
  const std::string whole = describe_allocation(*near);
  if (near->state == AllocationState::freed && offset < near->bytes)
    return "inside " + whole + ", which were freed";
  if (near->state == AllocationState::reserved && offset < near->bytes) {
    return "inside " + whole + ", which are not allocated yet in stream order";
  }
  if (offset < near->bytes && offset + bytes > near->bytes) return "partly past the end of " + whole;
  if (offset - near->bytes < (1u << 20))
    return std::to_string(offset - near->bytes) + " bytes past the end of " + whole;
  return memory.is_device_address(address) ? "no allocation is there" : "not device memory: a host pointer?";
}

const SharedArray* array_before(const Program& program, std::uint64_t offset) {
  const SharedArray* found = nullptr;
  for (const SharedArray& array : program.shared_arrays) {
    if (array.offset <= offset) found = &array;
  }
  return found;
}

}  // namespace

Region* find_global_region(const Instruction& i, Lane& lane, std::uint64_t address) {
  Allocation* found = lane.block->find_global(address);
  if (found == nullptr) return nullptr;
  i.hint = found;
  return &found->region;
}

void report_out_of_bounds(const Instruction& i, Lane& lane, const Region* region, std::uint64_t address,
                          std::uint32_t bytes, AccessKind kind) {
  std::string what = what_is_done(kind, bytes) + " at ";
  const Space space = region == nullptr ? Space::global : region->space;
  if (space == Space::global) {
    what += hex(address) + ": " + describe_global(*lane.block->launch().memory, address, bytes);
  } else {
    const char* name = space == Space::shared ? "shared" : space == Space::local ? "local" : "parameter";
    what += "offset " + std::to_string(static_cast<std::int64_t>(address - region->base)) + " of " +
            std::to_string(region->size) + " bytes of " + name + " memory";
  }
  lane.block->report(Fault::out_of_bounds, lane, i, what);
}

void report_misaligned(const Instruction& i, Lane& lane, std::uint64_t address, std::uint32_t bytes) {
  lane.block->report(Fault::misaligned, lane, i,
                     "accesses " + std::to_string(bytes) + " bytes at " + hex(address) +
                         ", which is not a multiple of " + std::to_string(bytes));
}

std::string describe_place(const Program& program, const Region& region, std::uint64_t offset, Block& block) {
  if (region.space == Space::local) return "byte " + std::to_string(offset) + " of local memory";
  if (region.space == Space::shared) {
    const SharedArray* array = array_before(program, offset);
    if (array == nullptr) return "byte " + std::to_string(offset) + " of shared memory";
    return "byte " + std::to_string(offset - array->offset) + " of the __shared__ array " + array->name;
  }
  const Allocation* allocation = block.find_global(region.base + offset);
  const std::string of = allocation == nullptr ? "global memory" : describe_allocation(*allocation);
  return "byte " + std::to_string(offset) + " of " + of;
}

void report_unwritten(const Instruction& i, Lane& lane, const Region& region, std::uint64_t address,
                      std::uint32_t bytes) {
  const std::string place =
      describe_place(*lane.block->launch().program, region, address - region.base, *lane.block);
  lane.block->report(Fault::uninitialised_read, lane, i,
                     "reads " + std::to_string(bytes) + " bytes, from " + place + " on");
}

void report_redzone(const Instruction& i, Lane& lane, const Region& region, std::uint64_t address,
                    std::uint32_t bytes, AccessKind kind) {
  const std::uint64_t offset = address - region.base;
  std::string what = what_is_done(kind, bytes) + " of shared memory past the end of a __shared__ array";
  if (const SharedArray* array = array_before(*lane.block->launch().program, offset)) {
    what += ": at offset " + std::to_string(offset - array->offset) + " of the " +
            std::to_string(array->bytes) + " bytes of " + array->name;
  }
  lane.block->report(Fault::out_of_bounds, lane, i, what);
}

void report_read_only(const Instruction& i, Lane& lane, const Region& region) {
  const char* name = region.space == Space::param ? "a kernel parameter" : "constant memory";
  lane.block->report(Fault::out_of_bounds, lane, i, std::string("writes ") + name);
}

}  // namespace cuda_emulator
