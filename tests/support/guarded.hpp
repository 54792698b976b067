// guarded.hpp - a tensor's memory on a device, misaligned as asked, with sentinels on both sides.
#pragma once

#include <gtest/gtest.h>

#include <bit>
#include <cstdint>
#include <span>
#include <string>
#include <vector>

#include "onepass/device.hpp"
#include "onepass/tensor.hpp"

namespace onepass::test {

/// `numel` floats that start `misalignment` floats after a 64-byte boundary.
class GuardedBuffer {
 public:
  GuardedBuffer(Device device, std::int64_t numel, int misalignment);

  [[nodiscard]] Tensor tensor() const { return {buffer_.as<float>() + first_, numel_, buffer_.device()}; }
  /// The elements themselves, only on the CPU.
  [[nodiscard]] std::span<float> host() const {
    return {buffer_.as<float>() + first_, static_cast<std::size_t>(numel_)};
  }
  void write(std::span<const float> values);
  [[nodiscard]] std::vector<float> read() const;
  /// Whether no float outside has been written to.
  [[nodiscard]] testing::AssertionResult intact() const;

 private:
  std::int64_t numel_;
  std::int64_t first_;
  DeviceBuffer buffer_;
};

/// The floats of any tensor, wherever it lies.
std::vector<float> read(const Tensor& tensor);

}  // namespace onepass::test
