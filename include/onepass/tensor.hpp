// tensor.hpp - a view of numbers in the caller's memory.
#pragma once

#include <concepts>
#include <cstddef>
#include <cstdint>
#include <span>

#include "onepass/device.hpp"

namespace onepass {

/// How the numbers of a tensor lie in memory.
enum class DType : std::uint8_t {
  float32,
  bfloat16,  ///< The upper half of a float32: 8 bits of exponent, 7 of mantissa.
  float16,   ///< IEEE binary16: 5 bits of exponent, 10 of mantissa.
  uint16,    ///< Bits of a remainder, in states alone.
  uint8,     ///< Bits of a remainder, or codes of a quantised state, in states alone.
};

/// Bytes of one element.
constexpr std::size_t size_of(DType dtype) {
  return dtype == DType::float32 ? sizeof(float)
         : dtype == DType::uint8 ? sizeof(std::uint8_t)
                                 : sizeof(std::uint16_t);
}

constexpr const char* to_string(DType dtype) {
  switch (dtype) {
    case DType::bfloat16:
      return "bfloat16";
    case DType::float16:
      return "float16";
    case DType::uint16:
      return "uint16";
    case DType::uint8:
      return "uint8";
    default:
      return "float32";
  }
}

/// `numel` elements at `data` on `device`; owns nothing. Its shape does not matter to an elementwise step.
/// `data` need only be aligned to its element.
struct Tensor {
  constexpr Tensor() = default;
  constexpr Tensor(float* data, std::int64_t numel, Device device = Device::cpu())
      : data(data), numel(numel), device(device) {}
  /// Memory whose elements have no type of this library's: __nv_bfloat16, _Float16, bits in std::uint16_t.
  constexpr Tensor(void* data, DType dtype, std::int64_t numel, Device device = Device::cpu())
      : data(data), numel(numel), dtype(dtype), device(device) {}
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
