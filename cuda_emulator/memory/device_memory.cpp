// device_memory.cpp - the global memory of the emulated device.
#include "memory/device_memory.hpp"

#include <sys/mman.h>

#include <cstdlib>
#include <stdexcept>

namespace cuda_emulator {
namespace {

constexpr std::uint64_t kAddressBytes = 1ull << 40;  // Reserved, not committed. Never reused.
constexpr std::uint64_t kDeviceBytes = 8ull << 30;   // Limit of the live bytes.
constexpr std::uint64_t kAlignment = 256;            // The alignment that cudaMalloc gives.
constexpr std::uint64_t kRedzoneBytes = 256;
constexpr std::uint64_t kPage = 4096;

constexpr std::uint64_t round_up(std::uint64_t value, std::uint64_t to) { return (value + to - 1) / to * to; }

char* map(int protection) {
  void* memory = mmap(nullptr, kAddressBytes, protection, MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);
  if (memory == MAP_FAILED) throw std::runtime_error("cuda_emulator: cannot reserve address space");
  return static_cast<char*>(memory);
}

}  // namespace

DeviceMemory::DeviceMemory() : addresses_(map(PROT_NONE)), contents_(map(PROT_READ | PROT_WRITE)) {}

DeviceMemory::~DeviceMemory() {
  for (Allocation& allocation : allocations_) {
    if (allocation.kind == AllocationKind::pinned_host && allocation.state == AllocationState::live) {
      std::free(allocation.region.bytes);
    }
  }
  munmap(addresses_, kAddressBytes);
  munmap(contents_, kAddressBytes);
}

Allocation* DeviceMemory::reserve(std::uint64_t bytes, AllocationKind kind, std::string origin) {
  if (bytes > kDeviceBytes || live_bytes_ + bytes > kDeviceBytes) return nullptr;
  const bool large = bytes >= 16 * kPage;
  used_ = round_up(used_, large ? kPage : kAlignment);
  if (used_ + bytes + kRedzoneBytes > kAddressBytes) return nullptr;
  Allocation& allocation = allocations_.emplace_back();
  allocation.kind = kind;
  allocation.base = reinterpret_cast<std::uint64_t>(addresses_) + used_;
  allocation.bytes = bytes;
  allocation.origin = std::move(origin);
  allocation.region.base = allocation.base;
  allocation.region.bytes = contents_ + used_;
  by_address_[allocation.base] = &allocation;
  used_ += bytes + kRedzoneBytes;
  live_bytes_ += bytes;
  return &allocation;
}

void DeviceMemory::make_live(Allocation& allocation) {
  allocation.state = AllocationState::live;
  allocation.region.size = allocation.bytes;
  // This pattern is a NaN as a float and -1 as an integer, so no test passes because memory happens to be
  // zero.
  std::memset(allocation.region.bytes, 0xff, allocation.bytes);
  allocation.states.assign(allocation.bytes, kUnwritten);
  allocation.region.state = allocation.states.data();
  allocation.shadow.resize(allocation.bytes);
  allocation.region.shadow = &allocation.shadow;
}

void DeviceMemory::release(Allocation& allocation) {
  if (allocation.kind == AllocationKind::pinned_host) {
    // The host's allocator may reuse the address for memory that is not pinned.
    by_address_.erase(allocation.base);
    std::free(allocation.region.bytes);
  } else {
    live_bytes_ -= allocation.bytes;
    const std::uint64_t whole_pages = allocation.bytes / kPage * kPage;
    if (whole_pages >= 16 * kPage) madvise(allocation.region.bytes, whole_pages, MADV_DONTNEED);
  }
  allocation.state = AllocationState::freed;
  allocation.region = Region{.base = allocation.base};
  allocation.states = {};
  allocation.shadow = {};
}

Allocation* DeviceMemory::add_pinned(std::uint64_t bytes, std::string origin) {
  void* memory = std::aligned_alloc(kPage, round_up(bytes, kPage));
  if (memory == nullptr) return nullptr;
  std::memset(memory, 0xff, bytes);
  Allocation& allocation = allocations_.emplace_back();
  allocation.kind = AllocationKind::pinned_host;
  allocation.state = AllocationState::live;
  allocation.base = reinterpret_cast<std::uint64_t>(memory);
  allocation.bytes = bytes;
  allocation.origin = std::move(origin);
  allocation.region = {.base = allocation.base, .size = bytes, .bytes = static_cast<char*>(memory)};
  allocation.shadow.resize(bytes);
  allocation.region.shadow = &allocation.shadow;
  by_address_[allocation.base] = &allocation;
  return &allocation;
}

Allocation* DeviceMemory::nearest_below(std::uint64_t address) {
  auto after = by_address_.upper_bound(address);
  if (after == by_address_.begin()) return nullptr;
  return std::prev(after)->second;
}

Allocation* DeviceMemory::find(std::uint64_t address) {
  Allocation* below = nearest_below(address);
  if (below == nullptr || address - below->base >= below->bytes) return nullptr;
  return below;
}

bool DeviceMemory::is_device_address(std::uint64_t address) const {
  return address - reinterpret_cast<std::uint64_t>(addresses_) < kAddressBytes;
}

std::vector<const Allocation*> DeviceMemory::live(AllocationKind kind) const {
  std::vector<const Allocation*> found;
  for (const Allocation& allocation : allocations_) {
    if (allocation.kind == kind && allocation.state == AllocationState::live) found.push_back(&allocation);
  }
  return found;
}

}  // namespace cuda_emulator
