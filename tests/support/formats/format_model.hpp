// format_model.hpp - the storage formats to test, and parameters in any of them on any device.
#pragma once

#include <algorithm>
#include <cstdint>
#include <cstring>
#include <string>
#include <string_view>
#include <vector>

#include "onepass/onepass.hpp"
#include "onepass/storage/formats.hpp"
#include "support/model.hpp"
#include "support/numbers/values.hpp"

namespace onepass::test {

inline float decoded(DType dtype, const std::byte* bytes, std::size_t i) {
  if (dtype == DType::float32) {
    float value;
    std::memcpy(&value, bytes + i * sizeof value, sizeof value);
    return value;
  }
  std::uint16_t bits;
  std::memcpy(&bits, bytes + i * sizeof bits, sizeof bits);
  return dtype == DType::bfloat16 ? storage::BFloat16::decode(bits) : storage::Float16::decode(bits);
}

inline void encode(DType dtype, float value, std::byte* bytes, std::size_t i) {
  if (dtype == DType::float32) {
    std::memcpy(bytes + i * sizeof value, &value, sizeof value);
    return;
  }
  const std::uint16_t bits =
      dtype == DType::bfloat16 ? storage::BFloat16::encode(value) : storage::Float16::encode(value);
  std::memcpy(bytes + i * sizeof bits, &bits, sizeof bits);
}

/// Encodes `values` in `dtype`, rounded to nearest even.
inline std::vector<std::byte> encoded(DType dtype, const std::vector<float>& values) {
  std::vector<std::byte> bytes(values.size() * size_of(dtype));
  for (std::size_t i = 0; i < values.size(); ++i) encode(dtype, values[i], bytes.data(), i);
  return bytes;
}

/// A tensor that starts `misalignment` elements after a 64-byte boundary, with sentinels on both sides.
class FormatBuffer {
 public:
  FormatBuffer(Device device, DType dtype, std::int64_t numel, int misalignment)
      : dtype_(dtype),
        numel_(numel),
        first_(kGuard + size_of(dtype) * static_cast<std::size_t>(misalignment)),
        buffer_(device, first_ + static_cast<std::size_t>(numel) * size_of(dtype) + kGuard) {
    const std::vector<std::byte> sentinels(buffer_.bytes(), kSentinel);
    copy({device, buffer_.data()}, {Device::cpu(), sentinels.data()}, sentinels.size());
  }

  [[nodiscard]] Tensor tensor() const {
    return {buffer_.as<std::byte>() + first_, dtype_, numel_, buffer_.device()};
  }
  void write(const std::vector<float>& values) const {
    const std::vector<std::byte> bytes = encoded(dtype_, values);
    copy({buffer_.device(), tensor().data}, {Device::cpu(), bytes.data()}, bytes.size());
  }
  [[nodiscard]] std::vector<std::byte> bytes() const {
    std::vector<std::byte> bytes(tensor().bytes());
    copy({Device::cpu(), bytes.data()}, {buffer_.device(), tensor().data}, bytes.size());
    return bytes;
  }
  /// The elements, decoded to float32.
  [[nodiscard]] std::vector<float> floats() const {
    const std::vector<std::byte> stored = bytes();
    std::vector<float> values(static_cast<std::size_t>(numel_));
    for (std::size_t i = 0; i < values.size(); ++i) values[i] = decoded(dtype_, stored.data(), i);
    return values;
  }
  /// Returns true if no byte outside the elements was overwritten.
  [[nodiscard]] bool intact() const {
    std::vector<std::byte> all(buffer_.bytes());
    copy({Device::cpu(), all.data()}, {buffer_.device(), buffer_.data()}, all.size());
    const auto begin = all.begin() + static_cast<std::ptrdiff_t>(first_);
    all.erase(begin, begin + static_cast<std::ptrdiff_t>(tensor().bytes()));
    return std::ranges::all_of(all, [](std::byte one) { return one == kSentinel; });
  }

 private:
  static constexpr std::size_t kGuard = 128;  // more than one AVX-512 store past any tail
  static constexpr std::byte kSentinel{0xa5};

  DType dtype_;
  std::int64_t numel_;
  std::size_t first_;
  DeviceBuffer buffer_;
};

/// A storage format and the type of its gradients.
struct FormatCase {
  const char* name;
  DType param;
  DType grad;
  Storage storage;

  /// Options::storage and Options::float32_storage for parameters in this format.
  [[nodiscard]] Storage low() const { return param == DType::float32 ? Storage{} : storage; }
  [[nodiscard]] Storage wide() const { return param == DType::float32 ? storage : Storage{}; }
};

/// The formats with fused loops and kernels of their own (storage::FusedFormats).
inline const std::vector<FormatCase>& format_cases() {
  using enum DType;
  constexpr auto kStochastic = Rounding::stochastic;
  static const std::vector<FormatCase> cases{
      {"float32", float32, float32, {}},
      {"bf16", bfloat16, bfloat16, {}},
      {"bf16_grad32", bfloat16, float32, {}},
      {"bf16_stochastic", bfloat16, bfloat16, {.rounding = kStochastic}},
      {"bf16_stochastic_grad32", bfloat16, float32, {.rounding = kStochastic}},
      {"all_bf16", bfloat16, bfloat16, {.states = States::bfloat16}},
      {"all_bf16_grad32", bfloat16, float32, {.states = States::bfloat16}},
      {"all_bf16_stochastic", bfloat16, bfloat16, {.states = States::bfloat16, .rounding = kStochastic}},
      {"all_bf16_stochastic_grad32",
       bfloat16,
       float32,
       {.states = States::bfloat16, .rounding = kStochastic}},
      {"bf16_master", bfloat16, bfloat16, {.master = Master::float32}},
      {"bf16_master_grad32", bfloat16, float32, {.master = Master::float32}},
      {"bf16_split", bfloat16, bfloat16, {.master = Master::split}},
      {"bf16_split_grad32", bfloat16, float32, {.master = Master::split}},
      {"compact", bfloat16, bfloat16, {.master = Master::remainder8, .states = States::quantized8}},
      {"compact_grad32", bfloat16, float32, {.master = Master::remainder8, .states = States::quantized8}},
      {"f16_master", float16, float16, {.master = Master::float32}},
      {"f16_master_grad32", float16, float32, {.master = Master::float32}},
      {"f32_q8", float32, float32, {.states = States::quantized8}},
  };
  return cases;
}

/// The formats that are staged, and that share a kernel (storage::OtherFormats). Where Rounding says
/// anything, states of bfloat16 round stochastically beside float32 parameters and masters, and to nearest
/// beside others.
inline const std::vector<FormatCase>& other_format_cases() {
  using enum DType;
  constexpr auto kStochastic = Rounding::stochastic;
  constexpr States kLow = States::bfloat16, kCodes = States::quantized8;
  constexpr Master kMaster = Master::float32, kSplit = Master::split, kShort = Master::remainder8;
  static const std::vector<FormatCase> cases{
      {"f32_bf16", float32, float32, {.states = kLow}},
      {"f32_bf16_stochastic", float32, float32, {.states = kLow, .rounding = kStochastic}},
      {"bf16_q8", bfloat16, bfloat16, {.states = kCodes}},
      {"bf16_q8_stochastic_grad32", bfloat16, float32, {.states = kCodes, .rounding = kStochastic}},
      {"bf16_master_bf16", bfloat16, float32, {.master = kMaster, .states = kLow, .rounding = kStochastic}},
      {"bf16_master_q8", bfloat16, bfloat16, {.master = kMaster, .states = kCodes}},
      {"bf16_split_bf16", bfloat16, bfloat16, {.master = kSplit, .states = kLow, .rounding = kStochastic}},
      {"bf16_split_q8", bfloat16, float32, {.master = kSplit, .states = kCodes}},
      {"bf16_short_f32", bfloat16, bfloat16, {.master = kShort}},
      {"bf16_short_bf16", bfloat16, float32, {.master = kShort, .states = kLow}},
      {"f16", float16, float16, {}},
      {"f16_stochastic_grad32", float16, float32, {.rounding = kStochastic}},
      {"f16_bf16", float16, float16, {.states = kLow, .rounding = kStochastic}},
      {"f16_q8", float16, float16, {.states = kCodes}},
      {"f16_master_bf16", float16, float16, {.master = kMaster, .states = kLow}},
      {"f16_master_q8", float16, float32, {.master = kMaster, .states = kCodes}},
      {"f16_short_f32", float16, float32, {.master = kShort}},
      {"f16_short_bf16", float16, float16, {.master = kShort, .states = kLow, .rounding = kStochastic}},
      {"f16_short_q8", float16, float16, {.master = kShort, .states = kCodes}},
  };
  return cases;
}

/// All formats.
inline const std::vector<FormatCase>& all_format_cases() {
  static const std::vector<FormatCase> cases = [] {
    std::vector<FormatCase> all = format_cases();
    all.insert(all.end(), other_format_cases().begin(), other_format_cases().end());
    return all;
  }();
  return cases;
}

inline const FormatCase& format_case(std::string_view name) {
  return *std::ranges::find(all_format_cases(), name,
                            [](const FormatCase& one) { return std::string_view(one.name); });
}

/// Tensors in one format. Their misalignments differ from one to the next.
class FormatModel {
 public:
  FormatModel(const FormatCase& format, Device device, std::vector<std::int64_t> numels)
      : numels_(std::move(numels)) {
    for (std::size_t i = 0; i < numels_.size(); ++i) {
      values_.emplace_back(device, format.param, numels_[i], static_cast<int>(i % 3));
      grads_.emplace_back(device, format.grad, numels_[i], static_cast<int>(i / 2 % 3));
      std::vector<float> value(static_cast<std::size_t>(numels_[i]));
      draw_value(value, i);
      values_.back().write(value);
    }
  }

  [[nodiscard]] std::vector<Parameter> parameters() const {
    std::vector<Parameter> parameters;
    for (std::size_t i = 0; i < numels_.size(); ++i) {
      parameters.push_back({.name = tensor_name(static_cast<int>(i)),
                            .value = values_[i].tensor(),
                            .grad = grads_[i].tensor()});
    }
    return parameters;
  }
  /// Writes the gradients of step `step` out of `steps`.
  void draw(std::int64_t step, std::int64_t steps) const {
    for (std::size_t i = 0; i < numels_.size(); ++i) {
      std::vector<float> gradient(static_cast<std::size_t>(numels_[i]));
      draw_gradient(gradient, i, step, steps);
      grads_[i].write(gradient);
    }
  }
  /// Writes gradients without NaN and Inf.
  void draw_finite(std::int64_t step) const { draw(1000 + step, 200); }
  [[nodiscard]] std::size_t size() const { return numels_.size(); }
  [[nodiscard]] const FormatBuffer& value(std::size_t i) const { return values_[i]; }
  [[nodiscard]] const FormatBuffer& grad(std::size_t i) const { return grads_[i]; }
  /// Returns true if no byte around the values and gradients was overwritten.
  [[nodiscard]] bool intact() const {
    return std::ranges::all_of(values_, &FormatBuffer::intact) &&
           std::ranges::all_of(grads_, &FormatBuffer::intact);
  }

 private:
  std::vector<std::int64_t> numels_;
  std::vector<FormatBuffer> values_, grads_;
};

/// Sizes with tails of blocks and of tiles of many lengths.
inline const std::vector<std::int64_t> kFormatSizes{0, 1, 7, 8, 9, 31, 32, 33, 63, 64, 65, 100, 515, 1100};

/// kFormatSizes and a larger size: several turns of a thread block, and several of the ranges of 2,048
/// elements in which the CPU loop updates averages and copies.
inline std::vector<std::int64_t> with_a_large_one() {
  std::vector<std::int64_t> sizes = kFormatSizes;
  sizes.push_back(5003);
  return sizes;
}

}  // namespace onepass::test
