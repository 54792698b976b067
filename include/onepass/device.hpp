// device.hpp - which device, what it is called, and memory on it.
#pragma once

#include <cstddef>
#include <string>

#include "onepass/stream.hpp"

namespace onepass {

/// A place where parameters live and steps run: the host's memory and processors, or one CUDA device.
class Device {
 public:
  static constexpr Device cpu() { return Device{-1}; }
  static constexpr Device cuda(int index = 0) { return Device{index}; }

  [[nodiscard]] constexpr bool is_cuda() const { return index_ >= 0; }
  /// The CUDA device's number; -1 on the CPU.
  [[nodiscard]] constexpr int index() const { return index_; }
  friend constexpr bool operator==(Device, Device) = default;

 private:
  explicit constexpr Device(int index) : index_(index) {}
  int index_;
};

/// "cpu" or "cuda:0".
std::string to_string(Device device);

/// A name for people: the GPU's product name, or "cpu (avx512, 2 threads)".
/// Throws InvalidArgument if there is no such device.
std::string device_name(Device device);

/// How many CUDA devices can be used; 0, without error, where there is no driver, no device, or where
/// onepass was built without CUDA.
int cuda_device_count() noexcept;
inline bool cuda_available() noexcept { return cuda_device_count() > 0; }

/// Owns bytes on a device. Move-only. Contents are undefined until written.
/// On CUDA the allocation and the release are ordered on `stream`, which must outlive the buffer; on the CPU
/// the memory is aligned to 64 bytes, and large blocks ask for huge pages and begin at different places of
/// them (as many MiB apart as a power of two, streams slow each other down).
/// Throws InvalidArgument if there is no such device, CudaError or std::bad_alloc if there is no memory.
class DeviceBuffer {
 public:
  DeviceBuffer() = default;
  DeviceBuffer(Device device, std::size_t bytes, Stream stream = {});
  ~DeviceBuffer();
  DeviceBuffer(DeviceBuffer&& other) noexcept;
  DeviceBuffer& operator=(DeviceBuffer&& other) noexcept;

  [[nodiscard]] void* data() const { return data_; }
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

/// An address and the device whose memory it is in.
struct Location {
  Device device;
  void* data;
};
struct ConstLocation {
  ConstLocation(Device device, const void* data) : device(device), data(data) {}
  ConstLocation(Location location) : device(location.device), data(location.data) {}  // NOLINT: implicit
  Device device;
  const void* data;
};

/// Copies `bytes` between memory of the same or of different devices. Between CUDA devices or within one:
/// asynchronous on `stream`. To or from the CPU: waits until the copy is done, and so for `stream`.
/// Throws CudaError.
void copy(Location to, ConstLocation from, std::size_t bytes, Stream stream = {});

/// Writes zeros. Asynchronous on `stream` on CUDA. Throws CudaError.
void fill_zero(Location to, std::size_t bytes, Stream stream = {});

/// Waits until everything queued on `stream` of `device` is done. Nothing to wait for on the CPU.
void synchronize(Device device, Stream stream = {});

}  // namespace onepass
