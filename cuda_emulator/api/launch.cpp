// launch.cpp - calls for kernel launches, function attributes and occupancy.
#include <cuda_runtime_api.h>

#include <algorithm>

#include "runtime/device.hpp"
#include "runtime/graph.hpp"

namespace cuda_emulator {
namespace {

struct Configuration {
  dim3 grid;
  dim3 block;
  std::size_t shared_bytes = 0;
  cudaStream_t stream = nullptr;
};

std::uint64_t dynamic_limit(const Kernel& kernel, const Program& program) {
  const std::uint64_t declared = program.shared_bytes_declared;
  return std::max(kernel.max_dynamic_shared, kStaticSharedLimit - std::min(kStaticSharedLimit, declared));
}

cudaError_t check(const Configuration& c, const Kernel& kernel, const Program& program) {
  const std::uint64_t threads = std::uint64_t{c.block.x} * c.block.y * c.block.z;
  if (threads == 0 || threads > 1024 || c.block.z > 64) return cudaErrorInvalidConfiguration;
  if (c.grid.x == 0 || c.grid.y == 0 || c.grid.z == 0) return cudaErrorInvalidConfiguration;
  if (c.grid.x > 0x7fffffff || c.grid.y > 65535 || c.grid.z > 65535) return cudaErrorInvalidConfiguration;
  if (threads > program.max_threads) return cudaErrorInvalidValue;
  return c.shared_bytes > dynamic_limit(kernel, program) ? cudaErrorInvalidValue : cudaSuccess;
}

cudaError_t launch(Kernel* kernel, const Configuration& c, void** arguments) {
  if (kernel == nullptr) return cudaErrorInvalidDeviceFunction;
  Device& device = Device::instance();
  Stream* stream = device.queue.find(c.stream);
  if (stream == nullptr) return cudaErrorInvalidResourceHandle;
  const Program& program = device.program(*kernel);
  if (const cudaError_t error = check(c, *kernel, program); error != cudaSuccess) return error;
  KernelTask task;
  task.kernel = kernel;
  task.grid = {c.grid.x, c.grid.y, c.grid.z};
  task.block = {c.block.x, c.block.y, c.block.z};
  task.dynamic_shared = static_cast<std::uint32_t>(c.shared_bytes);
  task.parameters.resize(program.parameter_bytes);
  for (std::size_t k = 0; k < program.parameters.size(); ++k) {
    const Place& place = program.parameters[k];
    std::memcpy(task.parameters.data() + place.offset, arguments[k], place.bytes);
  }
  return device.submit(stream, std::move(task));
}

/// Refuses attributes that ask for features that this device lacks. Ignores hints.
cudaError_t check_attributes(const cudaLaunchConfig_t& config) {
  for (unsigned k = 0; k < config.numAttrs; ++k) {
    const cudaLaunchAttribute& attribute = config.attrs[k];
    switch (attribute.id) {
      case cudaLaunchAttributeIgnore:
      case cudaLaunchAttributeAccessPolicyWindow:
      case cudaLaunchAttributePriority:
      case cudaLaunchAttributeProgrammaticStreamSerialization:
      case cudaLaunchAttributePreferredSharedMemoryCarveout:
        break;
      default:
        return unsupported("cudaLaunchKernelExC: launch attribute " + std::to_string(attribute.id));
    }
  }
  return cudaSuccess;
}

cudaError_t occupancy(int* blocks, const void* function, int block_size, std::size_t dynamic_shared) {
  Device& device = Device::instance();
  Kernel* kernel = device.find_kernel(function);
  if (kernel == nullptr) return cudaErrorInvalidDeviceFunction;
  if (block_size <= 0) return cudaErrorInvalidValue;
  const Program& program = device.program(*kernel);
  const std::uint64_t shared = program.shared_bytes_declared + dynamic_shared;
  std::uint64_t fit = 2048 / ((static_cast<std::uint64_t>(block_size) + 31) / 32 * 32);
  // A multiprocessor has 167,936 bytes, and the system takes 1,024 of them for each block.
  fit = std::min({fit, std::uint64_t{32}, std::uint64_t{167936} / (shared + 1024)});
  if (static_cast<std::uint64_t>(block_size) > program.max_threads) fit = 0;
  *blocks = static_cast<int>(fit);
  return cudaSuccess;
}

cudaError_t set_attribute(const void* function, cudaFuncAttribute attribute, int value) {
  Device& device = Device::instance();
  Kernel* kernel = device.find_kernel(function);
  if (kernel == nullptr) return cudaErrorInvalidDeviceFunction;
  if (attribute == cudaFuncAttributePreferredSharedMemoryCarveout) return cudaSuccess;
  if (attribute != cudaFuncAttributeMaxDynamicSharedMemorySize) {
    return unsupported("cudaFuncSetAttribute: attribute " + std::to_string(attribute));
  }
  const std::uint64_t declared = device.program(*kernel).shared_bytes_declared;
  if (value < 0 || static_cast<std::uint64_t>(value) + declared > kSharedLimit) return cudaErrorInvalidValue;
  kernel->max_dynamic_shared = static_cast<std::uint64_t>(value);
  return cudaSuccess;
}

cudaError_t get_attributes(cudaFuncAttributes* attributes, const void* function) {
  Device& device = Device::instance();
  Kernel* kernel = device.find_kernel(function);
  if (kernel == nullptr) return cudaErrorInvalidDeviceFunction;
  const Program& program = device.program(*kernel);
  *attributes = {};
  attributes->sharedSizeBytes = program.shared_bytes_declared;
  attributes->localSizeBytes = program.local_bytes;
  attributes->maxThreadsPerBlock = static_cast<int>(program.max_threads);
  attributes->numRegs = 32;
  attributes->ptxVersion = kComputeCapability;
  attributes->binaryVersion = kComputeCapability;
  attributes->maxDynamicSharedSizeBytes = static_cast<int>(dynamic_limit(*kernel, program));
  return cudaSuccess;
}

}  // namespace
}  // namespace cuda_emulator

using namespace cuda_emulator;

extern "C" {

cudaError_t __cudaLaunchKernel(cudaKernel_t kernel, dim3 grid, dim3 block, void** arguments,
                               std::size_t shared_bytes, cudaStream_t stream) {
  return guarded("<<<>>>", [&] {
    return launch(reinterpret_cast<Kernel*>(kernel), {grid, block, shared_bytes, stream}, arguments);
  });
}

cudaError_t cudaLaunchKernel(const void* function, dim3 grid, dim3 block, void** arguments,
                             std::size_t shared_bytes, cudaStream_t stream) {
  return guarded("cudaLaunchKernel", [&] {
    return launch(Device::instance().find_kernel(function), {grid, block, shared_bytes, stream}, arguments);
  });
}

cudaError_t cudaLaunchKernelExC(const cudaLaunchConfig_t* config, const void* function, void** arguments) {
  return guarded("cudaLaunchKernelExC", [&] {
    if (const cudaError_t error = check_attributes(*config); error != cudaSuccess) return error;
    return launch(Device::instance().find_kernel(function),
                  {config->gridDim, config->blockDim, config->dynamicSmemBytes, config->stream}, arguments);
  });
}

cudaError_t cudaFuncGetAttributes(cudaFuncAttributes* attributes, const void* function) {
  return guarded("cudaFuncGetAttributes", [&] { return get_attributes(attributes, function); });
}

cudaError_t cudaFuncSetAttribute(const void* function, cudaFuncAttribute attribute, int value) {
  return guarded("cudaFuncSetAttribute", [&] { return set_attribute(function, attribute, value); });
}

cudaError_t cudaFuncSetCacheConfig(const void*, cudaFuncCache) { return cudaSuccess; }

cudaError_t cudaOccupancyMaxActiveBlocksPerMultiprocessor(int* blocks, const void* function, int block_size,
                                                          std::size_t dynamic_shared) {
  return guarded("cudaOccupancyMaxActiveBlocksPerMultiprocessor",
                 [&] { return occupancy(blocks, function, block_size, dynamic_shared); });
}

cudaError_t cudaOccupancyMaxActiveBlocksPerMultiprocessorWithFlags(int* blocks, const void* function,
                                                                   int block_size, std::size_t dynamic_shared,
                                                                   unsigned) {
  return guarded("cudaOccupancyMaxActiveBlocksPerMultiprocessorWithFlags",
                 [&] { return occupancy(blocks, function, block_size, dynamic_shared); });
}

cudaError_t cuda_emulator_submit(cudaStream_t handle, const LibraryTask* task) {
  return guarded("cuda_emulator_submit", [&] {
    Stream* stream = Device::instance().queue.find(handle);
    if (stream == nullptr) return cudaErrorInvalidResourceHandle;
    return Device::instance().submit(stream, *task);
  });
}

cudaError_t cudaLaunchHostFunc(cudaStream_t handle, cudaHostFn_t function, void* argument) {
  return guarded("cudaLaunchHostFunc", [&] {
    Stream* stream = Device::instance().queue.find(handle);
    if (stream == nullptr) return cudaErrorInvalidResourceHandle;
    return Device::instance().submit(stream, HostTask{function, argument});
  });
}

}  // extern "C"
