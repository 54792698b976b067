#include "host/cuda/runtime.hpp"

#include <cuda_runtime_api.h>

#include "host/cuda/device_guard.hpp"
#include "kernels/cuda_check.hpp"
#include "onepass/error.hpp"

namespace onepass::cuda {
namespace {

using kernels::check;

/// Returns the attributes of an address. An address that CUDA does not know counts as unregistered host
/// memory.
cudaPointerAttributes attributes_of(const void* memory) {
  cudaPointerAttributes attributes{};
  attributes.type = cudaMemoryTypeUnregistered;
  if (device_count() == 0) return attributes;
  if (cudaPointerGetAttributes(&attributes, memory) != cudaSuccess) {
    (void)cudaGetLastError();
    attributes.type = cudaMemoryTypeUnregistered;
  }
  return attributes;
}

}  // namespace

int device_count() noexcept {
  // Counted once, because the devices that a process sees do not change. An error (no driver, a stub library)
  // counts as no device.
  static const int count = [] {
    int found = 0;
    if (cudaGetDeviceCount(&found) == cudaSuccess) return found;
    (void)cudaGetLastError();
    return 0;
  }();
  return count;
}

void require_device(int index) {
  const int count = device_count();
  if (index < count) return;
  throw InvalidArgument("onepass: cuda:" + std::to_string(index) + " was asked for, but " +
                        (count == 0 ? std::string("there is no CUDA device here")
                                    : "there are only " + std::to_string(count) + " CUDA devices"));
}

std::string device_name(int index) {
  require_device(index);
  cudaDeviceProp properties{};
  check(cudaGetDeviceProperties(&properties, index), "cudaGetDeviceProperties");
  return properties.name;
}

void* allocate(int index, std::size_t bytes, Stream stream) {
  require_device(index);
  const DeviceGuard guard(index);
  void* memory = nullptr;
  check(cudaMallocAsync(&memory, bytes, stream.handle()), "cudaMallocAsync");
  return memory;
}

void release(int index, void* memory, Stream stream) noexcept {
  // Destructors call this and cannot report a failure. At the end of a process the runtime may be gone.
  int previous = index;
  (void)cudaGetDevice(&previous);
  if (previous != index) (void)cudaSetDevice(index);
  (void)cudaFreeAsync(memory, stream.handle());
  if (previous != index) (void)cudaSetDevice(previous);
}

void copy(Location to, ConstLocation from, std::size_t bytes, Stream stream) {
  const bool both = to.device.is_cuda() && from.device.is_cuda();
  const DeviceGuard guard(to.device.is_cuda() ? to.device.index() : from.device.index());
  check(cudaMemcpyAsync(to.data, from.data, bytes, cudaMemcpyDefault, stream.handle()), "cudaMemcpyAsync");
  if (!both) check(cudaStreamSynchronize(stream.handle()), "cudaStreamSynchronize");
}

void fill_zero(Location to, std::size_t bytes, Stream stream) {
  const DeviceGuard guard(to.device.index());
  check(cudaMemsetAsync(to.data, 0, bytes, stream.handle()), "cudaMemsetAsync");
}

void synchronize(int index, Stream stream) {
  const DeviceGuard guard(index);
  check(cudaStreamSynchronize(stream.handle()), "cudaStreamSynchronize");
}

Device home_of(const void* memory) {
  const cudaPointerAttributes attributes = attributes_of(memory);
  const bool on_device = attributes.type == cudaMemoryTypeDevice || attributes.type == cudaMemoryTypeManaged;
  return on_device ? Device::cuda(attributes.device) : Device::cpu();
}

bool reachable_from(const void* memory, Device device) {
  const cudaPointerAttributes attributes = attributes_of(memory);
  if (attributes.type == cudaMemoryTypeManaged) return true;
  if (attributes.type == cudaMemoryTypeDevice) return device == Device::cuda(attributes.device);
  return !device.is_cuda();
}

}  // namespace onepass::cuda
