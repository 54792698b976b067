// memory.cpp - calls for allocation, copies, fills, symbols and pointer attributes.
#include <cuda_runtime_api.h>

#include "runtime/device.hpp"
#include "runtime/graph.hpp"

namespace cuda_emulator {
namespace {

std::uint64_t address_of(const void* pointer) { return reinterpret_cast<std::uint64_t>(pointer); }

/// Waits for all work and returns its error.
cudaError_t synchronise(Device& device) {
  device.queue.finish_all();
  return device.take_async_error();
}

cudaError_t allocate(void** pointer, std::size_t bytes, const char* call) {
  Device& device = Device::instance();
  if (pointer == nullptr) return cudaErrorInvalidValue;
  *pointer = nullptr;
  if (capture_forbids(device)) return cudaErrorStreamCaptureUnsupported;
  if (bytes == 0) return cudaSuccess;
  Allocation* allocation = device.memory.reserve(bytes, AllocationKind::device, device.next_origin(call));
  if (allocation == nullptr) return cudaErrorMemoryAllocation;
  device.memory.make_live(*allocation);
  *pointer = reinterpret_cast<void*>(allocation->base);
  return cudaSuccess;
}

/// Returns the live allocation that starts at `pointer`. Reports a wrong pointer and returns null.
Allocation* owned(const void* pointer, AllocationKind kind, const char* call) {
  Allocation* found = Device::instance().memory.find(address_of(pointer));
  const bool good = found != nullptr && found->base == address_of(pointer) && found->kind == kind;
  if (good && found->state != AllocationState::freed) return found;
  std::string what = std::string(call) + " of a pointer that ";
  what += good ? "was freed before: " + found->origin : "no such call returned";
  misuse(what, cudaErrorInvalidValue);
  return nullptr;
}

cudaError_t release(void* pointer, AllocationKind kind, const char* call) {
  Device& device = Device::instance();
  if (capture_forbids(device)) return cudaErrorStreamCaptureUnsupported;
  if (pointer == nullptr) return cudaSuccess;
  Allocation* allocation = owned(pointer, kind, call);
  if (allocation == nullptr) return cudaErrorInvalidValue;
  const cudaError_t error = synchronise(device);
  if (allocation->state == AllocationState::freed)
    return misuse(std::string(call) + " after cudaFreeAsync", cudaErrorInvalidValue);
  device.memory.release(*allocation);
  return error;
}

cudaError_t allocate_host(void** pointer, std::size_t bytes, const char* call) {
  Device& device = Device::instance();
  *pointer = nullptr;
  if (capture_forbids(device)) return cudaErrorStreamCaptureUnsupported;
  if (bytes == 0) return cudaSuccess;
  const Allocation* allocation = device.memory.add_pinned(bytes, device.next_origin(call));
  if (allocation == nullptr) return cudaErrorMemoryAllocation;
  *pointer = reinterpret_cast<void*>(allocation->base);
  return cudaSuccess;
}

bool is_device(const Device& device, std::uint64_t address) {
  return device.memory.is_device_address(address);
}

/// Returns whether each pointer is on the side that the kind names.
bool matches(const Device& device, const CopyTask& task, cudaMemcpyKind kind) {
  const bool to = is_device(device, task.to);
  const bool from = is_device(device, task.from);
  switch (kind) {
    case cudaMemcpyHostToHost:
      return !to && !from;
    case cudaMemcpyHostToDevice:
      return to && !from;
    case cudaMemcpyDeviceToHost:
      return !to && from;
    case cudaMemcpyDeviceToDevice:
      return to && from;
    default:
      return true;
  }
}

bool is_pageable(Device& device, std::uint64_t address) {
  return !is_device(device, address) && device.memory.find(address) == nullptr;
}

void take_pageable(CopyTask& task) {
  auto taken = std::make_shared<std::vector<char>>(task.width * task.height);
  for (std::uint64_t row = 0; row < task.height; ++row) {
    const auto* from = reinterpret_cast<const char*>(task.from + row * task.from_pitch);
    std::memcpy(taken->data() + row * task.width, from, task.width);
  }
  task.taken = std::move(taken);
}

cudaError_t copy_async(CopyTask task, cudaMemcpyKind kind, cudaStream_t handle) {
  Device& device = Device::instance();
  Stream* stream = device.queue.find(handle);
  if (stream == nullptr) return cudaErrorInvalidResourceHandle;
  if (task.width == 0 || task.height == 0) return cudaSuccess;
  if (!matches(device, task, kind)) return cudaErrorInvalidValue;
  const bool capturing = stream->capture != nullptr;
  // The runtime reads a pageable source before the call returns, and has written a pageable target by then.
  if (!capturing && is_pageable(device, task.from)) take_pageable(task);
  const bool wait = !capturing && is_pageable(device, task.to);
  if (const cudaError_t error = device.submit(stream, std::move(task)); error != cudaSuccess) return error;
  if (!wait) return cudaSuccess;
  device.queue.finish(stream);
  return device.take_async_error();
}

cudaError_t copy_and_wait(const CopyTask& task, cudaMemcpyKind kind) {
  Device& device = Device::instance();
  if (capture_forbids(device)) return cudaErrorStreamCaptureImplicit;
  if (const cudaError_t error = copy_async(task, kind, nullptr); error != cudaSuccess) return error;
  device.queue.finish(device.queue.legacy());
  return device.take_async_error();
}

CopyTask flat(void* to, const void* from, std::size_t bytes) {
  return {.to = address_of(to), .from = address_of(from), .width = bytes};
}

cudaError_t fill_async(const FillTask& task, cudaStream_t handle) {
  Device& device = Device::instance();
  Stream* stream = device.queue.find(handle);
  if (stream == nullptr) return cudaErrorInvalidResourceHandle;
  if (task.width == 0 || task.height == 0) return cudaSuccess;
  if (device.memory.find(task.to) == nullptr) return cudaErrorInvalidValue;
  return device.submit(stream, task);
}

/// Returns the address of a `__device__` variable plus `offset`, or 0 if `symbol` is not such a variable.
std::uint64_t symbol_address(const void* symbol, std::size_t offset) {
  Device& device = Device::instance();
  const auto known = device.variables.find(symbol);
  if (known == device.variables.end()) return 0;
  const Allocation* variable = device.image(*known->second.binary).variable(known->second.name);
  return variable == nullptr ? 0 : variable->base + offset;
}

cudaError_t pointer_attributes(cudaPointerAttributes* attributes, const void* pointer) {
  Device& device = Device::instance();
  *attributes = {};
  Allocation* found = device.memory.find(address_of(pointer));
  attributes->type = cudaMemoryTypeUnregistered;
  attributes->device = -2;
  attributes->hostPointer = const_cast<void*>(pointer);
  if (found == nullptr || found->state == AllocationState::freed) return cudaSuccess;
  const bool pinned = found->kind == AllocationKind::pinned_host;
  attributes->type = pinned ? cudaMemoryTypeHost : cudaMemoryTypeDevice;
  attributes->device = 0;
  attributes->devicePointer = const_cast<void*>(pointer);
  if (!pinned) attributes->hostPointer = nullptr;
  return cudaSuccess;
}

}  // namespace
}  // namespace cuda_emulator

using namespace cuda_emulator;

extern "C" {

cudaError_t cudaMalloc(void** pointer, std::size_t bytes) {
  return guarded("cudaMalloc", [&] { return allocate(pointer, bytes, "cudaMalloc"); });
}

cudaError_t cudaFree(void* pointer) {
  return guarded("cudaFree", [&] { return release(pointer, AllocationKind::device, "cudaFree"); });
}

cudaError_t cudaMallocHost(void** pointer, std::size_t bytes) {
  return guarded("cudaMallocHost", [&] { return allocate_host(pointer, bytes, "cudaMallocHost"); });
}

cudaError_t cudaHostAlloc(void** pointer, std::size_t bytes, unsigned) {
  return guarded("cudaHostAlloc", [&] { return allocate_host(pointer, bytes, "cudaHostAlloc"); });
}

cudaError_t cudaFreeHost(void* pointer) {
  return guarded("cudaFreeHost",
                 [&] { return release(pointer, AllocationKind::pinned_host, "cudaFreeHost"); });
}

cudaError_t cudaHostGetDevicePointer(void** device_pointer, void* host_pointer, unsigned) {
  *device_pointer = host_pointer;
  return cudaSuccess;
}

cudaError_t cudaMallocAsync(void** pointer, std::size_t bytes, cudaStream_t handle) {
  return guarded("cudaMallocAsync", [&] {
    Device& device = Device::instance();
    Stream* stream = device.queue.find(handle);
    if (stream == nullptr) return cudaErrorInvalidResourceHandle;
    *pointer = nullptr;
    if (bytes == 0) return cudaSuccess;
    const std::string origin = device.next_origin("cudaMallocAsync");
    Allocation* allocation = device.memory.reserve(bytes, AllocationKind::device, origin);
    if (allocation == nullptr) return cudaErrorMemoryAllocation;
    *pointer = reinterpret_cast<void*>(allocation->base);
    return device.submit(stream, AllocateTask{allocation});
  });
}

cudaError_t cudaMallocFromPoolAsync(void** pointer, std::size_t bytes, cudaMemPool_t, cudaStream_t handle) {
  return cudaMallocAsync(pointer, bytes, handle);
}

cudaError_t cudaFreeAsync(void* pointer, cudaStream_t handle) {
  return guarded("cudaFreeAsync", [&] {
    Device& device = Device::instance();
    Stream* stream = device.queue.find(handle);
    if (stream == nullptr) return cudaErrorInvalidResourceHandle;
    if (pointer == nullptr) return cudaSuccess;
    Allocation* allocation = owned(pointer, AllocationKind::device, "cudaFreeAsync");
    if (allocation == nullptr) return cudaErrorInvalidValue;
    return device.submit(stream, FreeTask{allocation});
  });
}

cudaError_t cudaMemcpy(void* to, const void* from, std::size_t bytes, cudaMemcpyKind kind) {
  return guarded("cudaMemcpy", [&] { return copy_and_wait(flat(to, from, bytes), kind); });
}

cudaError_t cudaMemcpyAsync(void* to, const void* from, std::size_t bytes, cudaMemcpyKind kind,
                            cudaStream_t stream) {
  return guarded("cudaMemcpyAsync", [&] { return copy_async(flat(to, from, bytes), kind, stream); });
}

cudaError_t cudaMemcpy2D(void* to, std::size_t to_pitch, const void* from, std::size_t from_pitch,
                         std::size_t width, std::size_t height, cudaMemcpyKind kind) {
  return guarded("cudaMemcpy2D", [&] {
    return copy_and_wait({address_of(to), address_of(from), width, height, to_pitch, from_pitch, nullptr},
                         kind);
  });
}

cudaError_t cudaMemcpy2DAsync(void* to, std::size_t to_pitch, const void* from, std::size_t from_pitch,
                              std::size_t width, std::size_t height, cudaMemcpyKind kind,
                              cudaStream_t stream) {
  return guarded("cudaMemcpy2DAsync", [&] {
    return copy_async({address_of(to), address_of(from), width, height, to_pitch, from_pitch, nullptr}, kind,
                      stream);
  });
}

cudaError_t cudaMemset(void* to, int value, std::size_t bytes) {
  return guarded("cudaMemset", [&] {
    if (capture_forbids(Device::instance())) return cudaErrorStreamCaptureImplicit;
    return fill_async({.to = address_of(to), .value = static_cast<std::uint8_t>(value), .width = bytes},
                      nullptr);
  });
}

cudaError_t cudaMemsetAsync(void* to, int value, std::size_t bytes, cudaStream_t stream) {
  return guarded("cudaMemsetAsync", [&] {
    return fill_async({.to = address_of(to), .value = static_cast<std::uint8_t>(value), .width = bytes},
                      stream);
  });
}

cudaError_t cudaMemset2DAsync(void* to, std::size_t pitch, int value, std::size_t width, std::size_t height,
                              cudaStream_t stream) {
  return guarded("cudaMemset2DAsync", [&] {
    return fill_async({address_of(to), static_cast<std::uint8_t>(value), 1, width, height, pitch}, stream);
  });
}

cudaError_t cudaMemcpyToSymbol(const void* symbol, const void* from, std::size_t bytes, std::size_t offset,
                               cudaMemcpyKind kind) {
  return guarded("cudaMemcpyToSymbol", [&] {
    const std::uint64_t to = symbol_address(symbol, offset);
    if (to == 0) return cudaErrorInvalidSymbol;
    return copy_and_wait({.to = to, .from = address_of(from), .width = bytes}, kind);
  });
}

cudaError_t cudaMemcpyToSymbolAsync(const void* symbol, const void* from, std::size_t bytes,
                                    std::size_t offset, cudaMemcpyKind kind, cudaStream_t stream) {
  return guarded("cudaMemcpyToSymbolAsync", [&] {
    const std::uint64_t to = symbol_address(symbol, offset);
    if (to == 0) return cudaErrorInvalidSymbol;
    return copy_async({.to = to, .from = address_of(from), .width = bytes}, kind, stream);
  });
}

cudaError_t cudaMemcpyFromSymbol(void* to, const void* symbol, std::size_t bytes, std::size_t offset,
                                 cudaMemcpyKind kind) {
  return guarded("cudaMemcpyFromSymbol", [&] {
    const std::uint64_t from = symbol_address(symbol, offset);
    if (from == 0) return cudaErrorInvalidSymbol;
    return copy_and_wait({.to = address_of(to), .from = from, .width = bytes}, kind);
  });
}

cudaError_t cudaGetSymbolAddress(void** pointer, const void* symbol) {
  return guarded("cudaGetSymbolAddress", [&] {
    *pointer = reinterpret_cast<void*>(symbol_address(symbol, 0));
    return *pointer == nullptr ? cudaErrorInvalidSymbol : cudaSuccess;
  });
}

cudaError_t cudaPointerGetAttributes(cudaPointerAttributes* attributes, const void* pointer) {
  return guarded("cudaPointerGetAttributes", [&] { return pointer_attributes(attributes, pointer); });
}

}  // extern "C"
