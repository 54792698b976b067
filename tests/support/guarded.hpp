// guarded.hpp - a float32 buffer on any device, misaligned on request, with sentinels on both sides that
// detect stray writes.
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
  /// The elements. Call this only if they lie on the CPU.
  [[nodiscard]] std::span<float> host() const {
    return {buffer_.as<float>() + first_, static_cast<std::size_t>(numel_)};
  }
  void write(std::span<const float> values);
  [[nodiscard]] std::vector<float> read() const;
  /// Succeeds if no float outside the elements was overwritten.
  [[nodiscard]] testing::AssertionResult intact() const;

 private:
  std::int64_t numel_;
  std::int64_t first_;
  DeviceBuffer buffer_;
};

/// Copies the floats of a tensor on any device to the host.
std::vector<float> read(const Tensor& tensor);

}  // namespace onepass::test
