// on_device.hpp - arrays in the device's memory, for tests of single functions.
#pragma once

#include <span>
#include <vector>

#include "kernels/cuda_test.hpp"

namespace onepass::test {

/// An array in the device's memory.
template <class T>
class OnDevice {
 public:
  /// Copies `values`.
  explicit OnDevice(std::span<const T> values) : buffer_(kGpu, values.size_bytes() + 8) {
    if (!values.empty()) copy({kGpu, buffer_.data()}, {Device::cpu(), values.data()}, values.size_bytes());
  }
  explicit OnDevice(const std::vector<T>& values) : OnDevice(std::span<const T>(values)) {}
  /// Fills the array with zeros, because kernels do not write the padding of a struct but read() copies it.
  explicit OnDevice(std::size_t count) : buffer_(kGpu, count * sizeof(T)) {
    fill_zero({kGpu, buffer_.data()}, count * sizeof(T));
  }

  [[nodiscard]] T* get() const { return buffer_.as<T>(); }
  [[nodiscard]] std::vector<T> read(std::size_t count) const {
    std::vector<T> values(count);
    copy({Device::cpu(), values.data()}, {kGpu, buffer_.data()}, count * sizeof(T));
    return values;
  }

 private:
  DeviceBuffer buffer_;
};

}  // namespace onepass::test
