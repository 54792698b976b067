// tensor.hpp - a view of numbers in memory that the caller owns.
#pragma once

#include <concepts>
#include <cstddef>
#include <cstdint>
#include <span>

#include "onepass/device.hpp"

namespace onepass {

/// The type of a tensor's elements in memory.
enum class DType : std::uint8_t {
  float32,
  bfloat16,  ///< The upper 16 bits of a float32: 8 bits of exponent, 7 of mantissa.
  float16,   ///< IEEE binary16: 5 bits of exponent, 10 of mantissa.
  uint16,    ///< Bits of a remainder; only in states.
  uint8,     ///< Bits of a remainder, or codes of a quantised state; only in states.
  int64,     ///< Counts of steps; only in counters.
  float64,   ///< Numbers that a rule carries from step to step; only in scalars.
};

/// Returns the bytes of one element.
constexpr std::size_t size_of(DType dtype) {
  return dtype == DType::float32   ? sizeof(float)
         : dtype == DType::uint8   ? sizeof(std::uint8_t)
         : dtype == DType::int64   ? sizeof(std::int64_t)
         : dtype == DType::float64 ? sizeof(double)
                                   : sizeof(std::uint16_t);
}

/// Returns PyTorch's name of the type, such as "bfloat16".
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
    case DType::int64:
      return "int64";
    case DType::float64:
      return "float64";
    default:
      return "float32";
  }
}

/// A view of `numel` contiguous elements at `data` on `device`. It owns no memory. It has no shape, because
/// elementwise steps need none. `data` must be aligned to its element type only.
struct Tensor {
  constexpr Tensor() = default;
  /// A view of float32 elements.
  constexpr Tensor(float* data, std::int64_t numel, Device device = Device::cpu())
      : data(data), numel(numel), device(device) {}
  /// A view of elements of another type, such as __nv_bfloat16, _Float16, or bits in a std::uint16_t.
  constexpr Tensor(void* data, DType dtype, std::int64_t numel, Device device = Device::cpu())
      : data(data), numel(numel), dtype(dtype), device(device) {}
  /// A view of a std::vector of float, an array or a span, on the CPU.
  template <std::convertible_to<std::span<float>> Floats>
  constexpr Tensor(Floats&& values)  // NOLINT: implicit on purpose
      : Tensor(std::span<float>(values).data(), static_cast<std::int64_t>(std::span<float>(values).size())) {}

  /// Size of the elements in bytes.
  [[nodiscard]] constexpr std::size_t bytes() const {
    return static_cast<std::size_t>(numel) * size_of(dtype);
  }

  void* data = nullptr;
  std::int64_t numel = 0;
  DType dtype = DType::float32;
  Device device = Device::cpu();
};

}  // namespace onepass
