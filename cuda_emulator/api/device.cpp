// device.cpp - the properties of the emulated device, and its memory pool.
#include <cuda_runtime_api.h>

#include <cstring>
#include <map>

#include "runtime/device.hpp"

namespace cuda_emulator {
namespace {

constexpr int kCudaVersion = 13000;
constexpr std::size_t kGlobalBytes = std::size_t{8} << 30;

cudaError_t check_device(int device) { return device == 0 ? cudaSuccess : cudaErrorInvalidDevice; }

int multiprocessors() { return static_cast<int>(Device::instance().options.multiprocessors); }

cudaDeviceProp properties() {
  cudaDeviceProp p{};
  std::strncpy(p.name, "onepass CUDA emulator", sizeof p.name - 1);
  p.totalGlobalMem = kGlobalBytes;
  p.sharedMemPerBlock = kStaticSharedLimit;
  p.regsPerBlock = 65536;
  p.warpSize = 32;
  p.memPitch = 0x7fffffff;
  p.maxThreadsPerBlock = 1024;
  p.maxThreadsDim[0] = 1024;
  p.maxThreadsDim[1] = 1024;
  p.maxThreadsDim[2] = 64;
  p.maxGridSize[0] = 0x7fffffff;
  p.maxGridSize[1] = 65535;
  p.maxGridSize[2] = 65535;
  p.totalConstMem = 65536;
  p.major = kComputeCapability / 10;
  p.minor = kComputeCapability % 10;
  p.textureAlignment = 512;
  p.multiProcessorCount = multiprocessors();
  p.unifiedAddressing = 1;
  p.canMapHostMemory = 1;
  p.concurrentKernels = 1;
  p.asyncEngineCount = 2;
  p.memoryBusWidth = 5120;
  p.l2CacheSize = 4 << 20;
  p.maxThreadsPerMultiProcessor = 2048;
  p.maxBlocksPerMultiProcessor = 32;
  p.sharedMemPerMultiprocessor = 167936;
  p.regsPerMultiprocessor = 65536;
  p.sharedMemPerBlockOptin = kSharedLimit;
  p.reservedSharedMemPerBlock = 1024;
  p.streamPrioritiesSupported = 1;
  p.globalL1CacheSupported = 1;
  p.localL1CacheSupported = 1;
  p.memoryPoolsSupported = 1;
  return p;
}

/// Attributes by number. Asking for a missing one is reported as unsupported instead of returning zero.
const std::map<int, int> kAttributes{
    {cudaDevAttrMaxThreadsPerBlock, 1024},
    {cudaDevAttrMaxBlockDimX, 1024},
    {cudaDevAttrMaxBlockDimY, 1024},
    {cudaDevAttrMaxBlockDimZ, 64},
    {cudaDevAttrMaxGridDimX, 0x7fffffff},
    {cudaDevAttrMaxGridDimY, 65535},
    {cudaDevAttrMaxGridDimZ, 65535},
    {cudaDevAttrMaxSharedMemoryPerBlock, static_cast<int>(kStaticSharedLimit)},
    {cudaDevAttrMaxSharedMemoryPerBlockOptin, static_cast<int>(kSharedLimit)},
    {cudaDevAttrMaxSharedMemoryPerMultiprocessor, 167936},
    {cudaDevAttrReservedSharedMemoryPerBlock, 1024},
    {cudaDevAttrWarpSize, 32},
    {cudaDevAttrMaxRegistersPerBlock, 65536},
    {cudaDevAttrMaxRegistersPerMultiprocessor, 65536},
    {cudaDevAttrClockRate, 1000000},
    {cudaDevAttrMemoryClockRate, 1000000},
    {cudaDevAttrGlobalMemoryBusWidth, 5120},
    {cudaDevAttrL2CacheSize, 4 << 20},
    {cudaDevAttrMaxThreadsPerMultiProcessor, 2048},
    {cudaDevAttrMaxBlocksPerMultiprocessor, 32},
    {cudaDevAttrMultiProcessorCount, 0},
    {cudaDevAttrComputeCapabilityMajor, kComputeCapability / 10},
    {cudaDevAttrComputeCapabilityMinor, kComputeCapability % 10},
    {cudaDevAttrConcurrentKernels, 1},
    {cudaDevAttrUnifiedAddressing, 1},
    {cudaDevAttrMemoryPoolsSupported, 1},
    {cudaDevAttrCooperativeLaunch, 0},
    {cudaDevAttrManagedMemory, 0},
    {cudaDevAttrConcurrentManagedAccess, 0},
    {cudaDevAttrPageableMemoryAccess, 0},
    {cudaDevAttrIntegrated, 0},
    {cudaDevAttrTotalConstantMemory, 65536},
    {cudaDevAttrAsyncEngineCount, 2},
    {cudaDevAttrStreamPrioritiesSupported, 1},
    {cudaDevAttrMaxPitch, 0x7fffffff},
    {cudaDevAttrTextureAlignment, 512},
    {cudaDevAttrComputeMode, 0},
    {cudaDevAttrEccEnabled, 0},
};

cudaError_t attribute(int* value, cudaDeviceAttr which) {
  if (which == cudaDevAttrMultiProcessorCount) {
    *value = multiprocessors();
    return cudaSuccess;
  }
  const auto found = kAttributes.find(which);
  if (found == kAttributes.end())
    return unsupported("cudaDeviceGetAttribute: attribute " + std::to_string(which));
  *value = found->second;
  return cudaSuccess;
}

// The only memory pool. It keeps and returns its attributes, but they have no effect, because it caches
// nothing.
struct Pool {
  std::map<int, std::uint64_t> attributes;
};
Pool& pool() {
  static Pool* one = new Pool;
  return *one;
}

bool is_32_bits(cudaMemPoolAttr attribute) {
  return attribute == cudaMemPoolReuseFollowEventDependencies ||
         attribute == cudaMemPoolReuseAllowOpportunistic ||
         attribute == cudaMemPoolReuseAllowInternalDependencies;
}

cudaError_t pool_attribute(cudaMemPoolAttr attribute, void* value, bool set) {
  std::uint64_t& kept = pool().attributes[attribute];
  const std::size_t bytes = is_32_bits(attribute) ? 4 : 8;
  if (set) {
    kept = 0;
    std::memcpy(&kept, value, bytes);
    return cudaSuccess;
  }
  const bool usage =
      attribute == cudaMemPoolAttrUsedMemCurrent || attribute == cudaMemPoolAttrReservedMemCurrent;
  if (usage) kept = Device::instance().memory.live_bytes();
  std::memcpy(value, &kept, bytes);
  return cudaSuccess;
}

}  // namespace
}  // namespace cuda_emulator

using namespace cuda_emulator;

extern "C" {

cudaError_t cudaGetDeviceCount(int* count) {
  *count = 1;
  return cudaSuccess;
}

cudaError_t cudaGetDevice(int* device) {
  *device = 0;
  return cudaSuccess;
}

cudaError_t cudaSetDevice(int device) {
  return guarded("cudaSetDevice", [&] { return check_device(device); });
}

cudaError_t cudaInitDevice(int device, unsigned, unsigned) {
  return guarded("cudaInitDevice", [&] { return check_device(device); });
}

cudaError_t cudaDeviceReset() {
  return guarded("cudaDeviceReset", [] { return unsupported("cudaDeviceReset"); });
}

cudaError_t cudaGetDeviceProperties(cudaDeviceProp* result, int device) {
  return guarded("cudaGetDeviceProperties", [&] {
    if (const cudaError_t error = check_device(device); error != cudaSuccess) return error;
    *result = properties();
    return cudaSuccess;
  });
}

cudaError_t cudaDeviceGetAttribute(int* value, cudaDeviceAttr which, int device) {
  return guarded("cudaDeviceGetAttribute", [&] {
    const cudaError_t error = check_device(device);
    return error != cudaSuccess ? error : attribute(value, which);
  });
}

cudaError_t cudaDeviceGetStreamPriorityRange(int* least, int* greatest) {
  *least = 0;
  *greatest = -5;
  return cudaSuccess;
}

cudaError_t cudaDeviceCanAccessPeer(int* can, int, int) {
  *can = 0;
  return cudaSuccess;
}

cudaError_t cudaDriverGetVersion(int* version) {
  *version = kCudaVersion;
  return cudaSuccess;
}

cudaError_t cudaRuntimeGetVersion(int* version) {
  *version = kCudaVersion;
  return cudaSuccess;
}

cudaError_t cudaMemGetInfo(std::size_t* free_bytes, std::size_t* total) {
  return guarded("cudaMemGetInfo", [&] {
    *total = kGlobalBytes;
    *free_bytes = kGlobalBytes - Device::instance().memory.live_bytes();
    return cudaSuccess;
  });
}

cudaError_t cudaDeviceGetDefaultMemPool(cudaMemPool_t* handle, int device) {
  return guarded("cudaDeviceGetDefaultMemPool", [&] {
    *handle = reinterpret_cast<cudaMemPool_t>(&pool());
    return check_device(device);
  });
}

cudaError_t cudaDeviceGetMemPool(cudaMemPool_t* handle, int device) {
  return cudaDeviceGetDefaultMemPool(handle, device);
}

cudaError_t cudaMemPoolSetAttribute(cudaMemPool_t, cudaMemPoolAttr attribute, void* value) {
  return guarded("cudaMemPoolSetAttribute", [&] { return pool_attribute(attribute, value, true); });
}

cudaError_t cudaMemPoolGetAttribute(cudaMemPool_t, cudaMemPoolAttr attribute, void* value) {
  return guarded("cudaMemPoolGetAttribute", [&] { return pool_attribute(attribute, value, false); });
}

cudaError_t cudaMemPoolTrimTo(cudaMemPool_t, std::size_t) { return cudaSuccess; }

}  // extern "C"
