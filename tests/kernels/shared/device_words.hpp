// device_words.hpp - integers in a device's memory, as shards combine them.
#pragma once

#include <cstdint>
#include <vector>

#include "onepass/onepass.hpp"

namespace onepass::test {

/// Words in a device's memory, and a copy of them on the host.
class Words {
 public:
  Words(Device device, std::int64_t numel)
      : buffer_(device, static_cast<std::size_t>(numel) * sizeof(std::int64_t)),
        device_(device),
        numel_(numel) {}

  [[nodiscard]] Tensor tensor() const { return {buffer_.data(), DType::int64, numel_, device_}; }
  [[nodiscard]] std::vector<std::int64_t> read() const {
    std::vector<std::int64_t> words(static_cast<std::size_t>(numel_));
    copy({Device::cpu(), words.data()}, {device_, buffer_.data()}, words.size() * sizeof(std::int64_t));
    return words;
  }
  void write(const std::vector<std::int64_t>& words) const {
    copy({device_, buffer_.data()}, {Device::cpu(), words.data()}, words.size() * sizeof(std::int64_t));
  }

 private:
  DeviceBuffer buffer_;
  Device device_;
  std::int64_t numel_;
};

}  // namespace onepass::test
