// registration.cpp - the calls that nvcc's generated code makes before main and around every <<<>>>.
#include <cuda_runtime_api.h>

#include "runtime/device.hpp"

namespace {

using cuda_emulator::Device;
using cuda_emulator::FatBinary;

struct Wrapper {
  int magic;
  int version;
  const void* data;
  void* file_name;
};

struct CallConfiguration {
  dim3 grid;
  dim3 block;
  std::size_t shared_bytes;
  cudaStream_t stream;
};

thread_local std::vector<CallConfiguration> configurations;

}  // namespace

extern "C" {

void** __cudaRegisterFatBinary(void* wrapper) {
  Device& device = Device::instance();
  const std::lock_guard lock(device.mutex);
  auto binary = std::make_unique<FatBinary>();
  binary->data = static_cast<const Wrapper*>(wrapper)->data;
  device.binaries.push_back(std::move(binary));
  return reinterpret_cast<void**>(device.binaries.back().get());
}

void __cudaRegisterFatBinaryEnd(void**) {}

void __cudaUnregisterFatBinary(void**) {}

void __cudaRegisterFunction(void** handle, const char* host_function, char*, const char* name, int, uint3*,
                            uint3*, dim3*, dim3*, int*) {
  Device& device = Device::instance();
  const std::lock_guard lock(device.mutex);
  auto kernel = std::make_unique<cuda_emulator::Kernel>();
  kernel->name = name;
  kernel->binary = reinterpret_cast<FatBinary*>(handle);
  device.kernels[host_function] = std::move(kernel);
}

void __cudaRegisterVar(void** handle, char* host_variable, char*, const char* name, int, std::size_t, int,
                       int) {
  Device& device = Device::instance();
  const std::lock_guard lock(device.mutex);
  device.variables[host_variable] = {name, reinterpret_cast<FatBinary*>(handle)};
}

char __cudaInitModule(void**) { return 1; }

unsigned __cudaPushCallConfiguration(dim3 grid, dim3 block, std::size_t shared_bytes, cudaStream_t stream) {
  configurations.push_back({grid, block, shared_bytes, stream});
  return 0;
}

cudaError_t __cudaPopCallConfiguration(dim3* grid, dim3* block, std::size_t* shared_bytes, void* stream) {
  if (configurations.empty()) return cudaErrorMissingConfiguration;
  const CallConfiguration last = configurations.back();
  configurations.pop_back();
  *grid = last.grid;
  *block = last.block;
  *shared_bytes = last.shared_bytes;
  *static_cast<cudaStream_t*>(stream) = last.stream;
  return cudaSuccess;
}

cudaError_t __cudaGetKernel(cudaKernel_t* kernel, const void* host_function) {
  Device& device = Device::instance();
  const std::lock_guard lock(device.mutex);
  *kernel = reinterpret_cast<cudaKernel_t>(device.find_kernel(host_function));
  return *kernel == nullptr ? cudaErrorInvalidDeviceFunction : cudaSuccess;
}

}  // extern "C"
