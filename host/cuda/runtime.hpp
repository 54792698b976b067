// runtime.hpp - what the host asks of CUDA besides kernels. runtime.cpp answers through the CUDA runtime,
// absent.cpp where onepass is built without CUDA. The only other callers of the runtime are
// kernels/launch.cuh and host/cuda/backend.cpp.
#pragma once

#include <cstddef>
#include <string>

#include "onepass/device.hpp"

namespace onepass::cuda {

/// 0, without error, where there is no driver or no device.
int device_count() noexcept;

/// Throws InvalidArgument if there is no such device.
void require_device(int index);

/// The product's name. Throws InvalidArgument if there is no such device.
std::string device_name(int index);

/// Stream-ordered memory. Throws CudaError, or InvalidArgument if there is no such device.
void* allocate(int index, std::size_t bytes, Stream stream);
void release(int index, void* memory, Stream stream) noexcept;

/// As the functions of the same names in onepass/device.hpp, where at least one side is a CUDA device.
void copy(Location to, ConstLocation from, std::size_t bytes, Stream stream);
void fill_zero(Location to, std::size_t bytes, Stream stream);
void synchronize(int index, Stream stream);

/// Where an address is: a CUDA device, or the CPU for everything that CUDA does not know.
Device home_of(const void* memory);

/// Whether a kernel (or, for Device::cpu(), a thread) may read and write there: its own memory, or managed.
bool reachable_from(const void* memory, Device device);

}  // namespace onepass::cuda
