// runtime.hpp - the host's interface to CUDA besides kernels. runtime.cpp implements it with the CUDA
// runtime, or absent.cpp if onepass is built without CUDA. The only other callers of the runtime are
// kernels/launch.cuh and host/cuda/backend.cpp.
#pragma once

#include <cstddef>
#include <string>

#include "onepass/device.hpp"

namespace onepass::cuda {

/// Returns the number of CUDA devices. Returns 0, without an error, if there is no driver or no device.
int device_count() noexcept;

/// Throws InvalidArgument if there is no such device.
void require_device(int index);

/// Returns the product name of a device. Throws InvalidArgument if there is no such device.
std::string device_name(int index);

/// Allocates memory in the order of the stream. Throws CudaError, or InvalidArgument if there is no such
/// device.
void* allocate(int index, std::size_t bytes, Stream stream);
/// Frees memory in the order of the stream. Ignores errors.
void release(int index, void* memory, Stream stream) noexcept;

/// These implement the functions of the same names in onepass/device.hpp if at least one side is a CUDA
/// device.
void copy(Location to, ConstLocation from, std::size_t bytes, Stream stream);
void fill_zero(Location to, std::size_t bytes, Stream stream);
void synchronize(int index, Stream stream);

/// Returns the device that owns an address: a CUDA device, or the CPU for an address that CUDA does not know.
Device home_of(const void* memory);

/// Returns whether a kernel on `device` (for Device::cpu(), a thread) may access an address. It may if the
/// memory is the device's own or managed.
bool reachable_from(const void* memory, Device device);

}  // namespace onepass::cuda
