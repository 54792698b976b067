// device.cpp - memory on the CPU and the GPU behind one interface.
#include "onepass/device.hpp"

#include <sys/mman.h>

#include <atomic>
#include <cstddef>
#include <cstdint>
#include <cstdlib>
#include <cstring>
#include <new>
#include <utility>

#include "host/cuda/runtime.hpp"
#include "onepass/cpu.hpp"

namespace onepass {
namespace {

constexpr std::size_t kCacheLine = 64;
constexpr std::size_t kHugePage = std::size_t{2} << 20;

constexpr std::size_t round_up(std::size_t bytes, std::size_t multiple) {
  return (bytes + multiple - 1) / multiple * multiple;
}

/// Returns the offset at which the next large allocation begins. Streams that are a multiple of 128 MiB apart
/// meet in the same memory banks, and a step over three of them takes twice as long. So large allocations
/// begin at different offsets, an odd number of pages and cache lines apart.
std::size_t next_place() {
  constexpr std::size_t kApart = 3 * 4096 + 5 * kCacheLine, kPlaces = 16;
  static std::atomic<std::size_t> allocations{0};
  return allocations.fetch_add(1, std::memory_order_relaxed) % kPlaces * kApart;
}

/// No allocation is larger: an address space has no room for it, and rounding up could wrap.
constexpr std::size_t kMostBytes = std::size_t{1} << 62;

/// Large allocations ask for huge pages: the first step then has a tenth of the page faults.
void* allocate_on_cpu(std::size_t bytes) {
  const bool large = bytes >= kHugePage;
  const std::size_t place = large ? next_place() : 0, alignment = large ? kHugePage : kCacheLine;
  const std::size_t size = round_up(place + bytes, alignment);
  void* const memory = std::aligned_alloc(alignment, size);
  if (memory == nullptr) throw std::bad_alloc();
  if (large) (void)madvise(memory, size, MADV_HUGEPAGE);
  return static_cast<std::byte*>(memory) + place;
}

void release_on_cpu(void* data, std::size_t bytes) {
  const std::size_t place = bytes >= kHugePage ? reinterpret_cast<std::uintptr_t>(data) % kHugePage : 0;
  std::free(static_cast<std::byte*>(data) - place);
}

}  // namespace

std::string to_string(Device device) {
  return device.is_cuda() ? "cuda:" + std::to_string(device.index()) : "cpu";
}

std::string device_name(Device device) {
  if (device.is_cuda()) return cuda::device_name(device.index());
  const int threads = cpu_threads();
  return "cpu (" + std::string(to_string(best_isa())) + ", " + std::to_string(threads) +
         (threads == 1 ? " thread)" : " threads)");
}

int cuda_device_count() noexcept { return cuda::device_count(); }

DeviceBuffer::DeviceBuffer(Device device, std::size_t bytes, Stream stream)
    : bytes_(bytes), device_(device), stream_(stream) {
  if (bytes == 0) return;
  if (bytes > kMostBytes) throw std::bad_alloc();
  data_ = device.is_cuda() ? cuda::allocate(device.index(), bytes, stream) : allocate_on_cpu(bytes);
}

DeviceBuffer::~DeviceBuffer() {
  if (data_ == nullptr) return;
  if (device_.is_cuda()) {
    cuda::release(device_.index(), data_, stream_);
  } else {
    release_on_cpu(data_, bytes_);
  }
}

DeviceBuffer::DeviceBuffer(DeviceBuffer&& other) noexcept
    : data_(std::exchange(other.data_, nullptr)),
      bytes_(std::exchange(other.bytes_, 0)),
      device_(other.device_),
      stream_(other.stream_) {}

DeviceBuffer& DeviceBuffer::operator=(DeviceBuffer&& other) noexcept {
  std::swap(data_, other.data_);
  std::swap(bytes_, other.bytes_);
  std::swap(device_, other.device_);
  std::swap(stream_, other.stream_);
  return *this;
}

void copy(Location to, ConstLocation from, std::size_t bytes, Stream stream) {
  if (bytes == 0) return;
  if (to.device.is_cuda() || from.device.is_cuda()) {
    cuda::copy(to, from, bytes, stream);
  } else {
    std::memmove(to.data, from.data, bytes);
  }
}

void fill_zero(Location to, std::size_t bytes, Stream stream) {
  if (bytes == 0) return;
  if (to.device.is_cuda()) {
    cuda::fill_zero(to, bytes, stream);
  } else {
    std::memset(to.data, 0, bytes);
  }
}

void synchronize(Device device, Stream stream) {
  if (device.is_cuda()) cuda::synchronize(device.index(), stream);
}

}  // namespace onepass
