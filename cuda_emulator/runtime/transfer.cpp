// transfer.cpp - copies, fills and library work, checked like the accesses of a kernel.
#include <algorithm>

#include "runtime/device.hpp"

namespace cuda_emulator {
namespace {

void fault(Device& device, Fault kind, const std::string& what) {
  Reports::instance().add({kind, {}, what, {}, 0});
  device.set_async_error(kind == Fault::out_of_bounds ? cudaErrorInvalidValue : cudaErrorLaunchFailure);
}

std::string of(const Allocation& allocation) {
  return std::to_string(allocation.bytes) + " bytes of " + allocation.origin;
}

/// One side of a transfer. `allocation` is null for ordinary host memory.
struct Side {
  Allocation* allocation = nullptr;
  char* bytes = nullptr;
  std::uint64_t offset = 0;
};

/// Finds the memory of a range. Sets `bytes` to null if the range does not lie entirely in live memory.
Side resolve(Device& device, std::uint64_t address, std::uint64_t count, const char* call) {
  Side side;
  side.allocation = device.memory.find(address);
  if (side.allocation == nullptr) {
    if (device.memory.is_device_address(address)) {
      fault(device, Fault::out_of_bounds,
            std::string(call) + " touches device memory that was never allocated");
      return side;
    }
    side.bytes = reinterpret_cast<char*>(address);
    return side;
  }
  side.offset = address - side.allocation->base;
  if (!side.allocation->region.contains(address, count)) {
    const bool freed = side.allocation->state == AllocationState::freed;
    const bool reserved = side.allocation->state == AllocationState::reserved;
    fault(device, Fault::out_of_bounds,
          std::string(call) + " of " + std::to_string(count) + " bytes at offset " +
              std::to_string(side.offset) +
              (freed      ? " of the freed "
               : reserved ? " of the not yet allocated "
                          : " of the ") +
              of(*side.allocation));
    return side;
  }
  side.bytes = side.allocation->region.bytes + side.offset;
  return side;
}

/// Reports an access of another stream that nothing orders before this one.
void check_order(Device& device, const Side& side, std::uint64_t count, Accessor accessor, bool write,
                 const char* call) {
  if (accessor.order == nullptr || side.allocation == nullptr || count == 0) return;
  accessor.write = write;
  const auto conflict =
      side.allocation->region.shadow->record(side.offset, static_cast<std::uint32_t>(count), accessor);
  if (!conflict) return;
  const Site& site = Sites::instance().at(conflict->site);
  std::string what = std::string(call) + (write ? " writes " : " reads ") + of(*side.allocation) + " that ";
  what += site.program == nullptr ? "another copy or fill " : "kernel " + demangle(site.program->name) + " ";
  what += conflict->wrote ? "wrote" : "read";
  if (site.program != nullptr) what += " at " + describe_source(site);
  fault(device, Fault::race, what + ", in another stream and without a wait");
}

void copy_row(Device& device, std::uint64_t to, std::uint64_t from, const char* taken, std::uint64_t count,
              const Accessor& accessor) {
  Side source;
  if (taken != nullptr) {
    source.bytes = const_cast<char*>(taken);
  } else {
    source = resolve(device, from, count, "a copy");
  }
  const Side target = resolve(device, to, count, "a copy");
  if (source.bytes == nullptr || target.bytes == nullptr) return;
  check_order(device, source, count, accessor, false, "a copy");
  check_order(device, target, count, accessor, true, "a copy");
  const std::uint8_t* source_states =
      source.allocation == nullptr ? nullptr : source.allocation->region.state;
  std::uint8_t* target_states = target.allocation == nullptr ? nullptr : target.allocation->region.state;
  if (source_states != nullptr && target_states == nullptr) {
    const std::uint8_t* begin = source_states + source.offset;
    const std::uint8_t* unwritten = std::find(begin, begin + count, kUnwritten);
    if (unwritten != begin + count) {
      fault(device, Fault::uninitialised_read,
            "a copy to the host reads byte " +
                std::to_string(source.offset + static_cast<std::uint64_t>(unwritten - begin)) + " of " +
                of(*source.allocation) + ", which nothing has written");
    }
  }
  if (source_states != nullptr && target_states != nullptr) {
    std::memmove(target_states + target.offset, source_states + source.offset, count);
  } else if (target_states != nullptr) {
    std::memset(target_states + target.offset, kWritten, count);
  }
  std::memmove(target.bytes, source.bytes, count);
}

}  // namespace

void copy(Device& device, const CopyTask& task, const Accessor& accessor) {
  for (std::uint64_t row = 0; row < task.height; ++row) {
    const char* taken = task.taken == nullptr ? nullptr : task.taken->data() + row * task.width;
    copy_row(device, task.to + row * task.to_pitch, task.from + row * task.from_pitch, taken, task.width,
             accessor);
  }
}

void fill(Device& device, const FillTask& task, const Accessor& accessor) {
  for (std::uint64_t row = 0; row < task.height; ++row) {
    const Side target = resolve(device, task.to + row * task.pitch, task.width, "a fill");
    if (target.bytes == nullptr) return;
    check_order(device, target, task.width, accessor, true, "a fill");
    for (std::uint64_t k = 0; k < task.width; ++k) {
      target.bytes[k] = static_cast<char>(task.value >> (8 * (k % task.element_bytes)));
    }
    if (target.allocation != nullptr && target.allocation->region.state != nullptr) {
      std::memset(target.allocation->region.state + target.offset, kWritten, task.width);
    }
  }
}

namespace {

/// Checks one row of a library's range and returns a pointer to it, or null if it is not in device memory.
char* use_row(Device& device, const Range& range, std::uint64_t row, const std::string& name,
              const Accessor& accessor) {
  const Side side = resolve(device, range.address + row * range.pitch, range.width, name.c_str());
  if (side.bytes == nullptr) return nullptr;
  if (side.allocation == nullptr) {
    fault(device, Fault::out_of_bounds, name + " is given a host pointer");
    return nullptr;
  }
  check_order(device, side, range.width, accessor, range.use != Use::read, name.c_str());
  std::uint8_t* states = side.allocation->region.state;
  if (states == nullptr) return side.bytes;
  std::uint8_t* const begin = states + side.offset;
  std::uint8_t* const end = begin + range.width;
  if (range.use != Use::write && std::find(begin, end, kUnwritten) != end) {
    fault(device, Fault::uninitialised_read,
          name + " reads bytes of the " + of(*side.allocation) + " that nothing has written");
  }
  if (range.use != Use::read) std::fill(begin, end, kWritten);
  return side.bytes;
}

}  // namespace

void run_library(Device& device, const LibraryTask& task, const Accessor& accessor) {
  std::vector<char*> places;
  for (const Range& range : task.ranges) {
    char* first = nullptr;
    for (std::uint64_t row = 0; row < range.height; ++row) {
      char* place = use_row(device, range, row, task.name, accessor);
      if (place == nullptr) return;
      if (row == 0) first = place;
    }
    places.push_back(first);
  }
  task.work(places);
}

}  // namespace cuda_emulator
