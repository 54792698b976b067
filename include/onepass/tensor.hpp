// tensor.hpp - a view of numbers in the caller's memory.
#pragma once

#include <concepts>
#include <cstddef>
#include <cstdint>
#include <span>

#include "onepass/device.hpp"

namespace onepass {

/// How the numbers of a tensor lie in memory.
enum class DType : std::uint8_t { float32 };

/// Bytes of one element.
constexpr std::size_t size_of(DType) { return sizeof(float); }

/// `numel` elements at `data` on `device`; owns nothing. Its shape does not matter to an elementwise step.
/// `data` need only be aligned to its element.
struct Tensor {
  constexpr Tensor() = default;
  constexpr Tensor(float* data, std::int64_t numel, Device device = Device::cpu())
      : data(data), numel(numel), device(device) {}
  /// A std::vector<float>, an array or a span of the caller's, on the CPU.
  template <std::convertible_to<std::span<float>> Floats>
  constexpr Tensor(Floats&& values)  // NOLINT: implicit on purpose
      : Tensor(std::span<float>(values).data(), static_cast<std::int64_t>(std::span<float>(values).size())) {}

  [[nodiscard]] constexpr std::size_t bytes() const {
    return static_cast<std::size_t>(numel) * size_of(dtype);
  }

  void* data = nullptr;
  std::int64_t numel = 0;
  DType dtype = DType::float32;
  Device device = Device::cpu();
};

}  // namespace onepass
