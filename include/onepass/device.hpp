// device.hpp - devices, their names, and memory on them.
#pragma once

#include <cstddef>
#include <string>

#include "onepass/stream.hpp"

namespace onepass {

/// A device that holds parameters and runs steps: the host's memory and processors, or one CUDA device.
class Device {
 public:
  /// The host.
  static constexpr Device cpu() { return Device{-1}; }
  /// The CUDA device with this number. Does not check that it exists.
  static constexpr Device cuda(int index = 0) { return Device{index}; }

  [[nodiscard]] constexpr bool is_cuda() const { return index_ >= 0; }
  /// Number of the CUDA device; -1 for the CPU.
  [[nodiscard]] constexpr int index() const { return index_; }
  friend constexpr bool operator==(Device, Device) = default;

 private:
  explicit constexpr Device(int index) : index_(index) {}
  int index_;
};

/// Returns "cpu" or "cuda:0".
std::string to_string(Device device);

/// Returns a human-readable name: the GPU's product name, or "cpu (avx512, 2 threads)".
/// Throws InvalidArgument if there is no such device.
std::string device_name(Device device);

/// Returns the number of usable CUDA devices. It is 0, without an error, if the machine has no driver or no
/// device, or if onepass was built without CUDA.
int cuda_device_count() noexcept;
/// Returns true if at least one CUDA device can be used.
inline bool cuda_available() noexcept { return cuda_device_count() > 0; }

/// Owns bytes on a device. Move-only. The contents are undefined until written.
///
/// On CUDA the allocation and the release are ordered on `stream`, which must outlive the buffer. On the CPU
/// the memory is aligned to 64 bytes. CPU allocations of 2 MiB and more ask for huge pages, and each begins
/// at a different offset within its first page: streams that are a multiple of 128 MiB apart meet in the same
/// banks of the memory and slow each other down.
///
/// The constructor throws InvalidArgument if there is no such device, and CudaError or std::bad_alloc if the
/// memory cannot be allocated.
class DeviceBuffer {
 public:
  DeviceBuffer() = default;
  DeviceBuffer(Device device, std::size_t bytes, Stream stream = {});
  ~DeviceBuffer();
  DeviceBuffer(DeviceBuffer&& other) noexcept;
  DeviceBuffer& operator=(DeviceBuffer&& other) noexcept;

  /// Address of the first byte, on device(); null if the buffer is empty.
  [[nodiscard]] void* data() const { return data_; }
  /// The same address as a pointer to T.
  template <class T>
  [[nodiscard]] T* as() const {
    return static_cast<T*>(data_);
  }
  [[nodiscard]] std::size_t bytes() const { return bytes_; }
  [[nodiscard]] Device device() const { return device_; }

 private:
  void* data_ = nullptr;
  std::size_t bytes_ = 0;
  Device device_ = Device::cpu();
  Stream stream_;
};

/// An address, and the device that has this memory.
struct Location {
  Device device;
  void* data;
};
/// The address of memory that is only read, and the device that has it.
struct ConstLocation {
  ConstLocation(Device device, const void* data) : device(device), data(data) {}
  ConstLocation(Location location) : device(location.device), data(location.data) {}  // NOLINT: implicit
  Device device;
  const void* data;
};

/// Copies `bytes` bytes within a device or between two. A copy within or between CUDA devices is asynchronous
/// on `stream`. A copy between CUDA and the CPU waits for `stream` until it is done. On the CPU alone the
/// copy is done when the call returns, and the ranges may overlap. Throws CudaError.
void copy(Location to, ConstLocation from, std::size_t bytes, Stream stream = {});

/// Writes `bytes` zero bytes. Asynchronous on `stream` on CUDA; done when the call returns on the CPU.
/// Throws CudaError.
void fill_zero(Location to, std::size_t bytes, Stream stream = {});

/// Waits until all work queued on `stream` of `device` is done. Returns at once on the CPU, which has no
/// queue. Throws CudaError.
void synchronize(Device device, Stream stream = {});

}  // namespace onepass
