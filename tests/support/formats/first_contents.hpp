// first_contents.hpp - parameters of every kind of number, and the bytes that their streams begin with.
#pragma once

#include <gtest/gtest.h>

#include <bit>
#include <cstring>

#include "support/formats/format_model.hpp"

namespace onepass::test {

/// Sizes with tails of blocks and chunks; the last are so large that three threads share them.
inline const std::vector<std::int64_t> kStartedSizes{0, 1, 31, 33, 63, 65, 100, 1100, 0, 20003, 40000};

/// The bytes of `count` elements: zeros, denormals, Inf, and NaN with and without a payload among ordinary
/// numbers. Elements of 16 bits are the upper halves of those of 32.
inline std::vector<std::byte> bytes_of_every_kind(DType dtype, std::size_t count, std::size_t salt) {
  constexpr std::uint32_t kOdd[] = {0x00000000u, 0x80000000u, 0x00000001u, 0x80012345u, 0x7f800000u,
                                    0xff800000u, 0x7fc00000u, 0x7fa12345u, 0xffc54321u, 0x7f7fffffu,
                                    0x3f808000u, 0x3f818000u, 0x7c010000u, 0x03ff0000u};
  const std::size_t size = size_of(dtype);
  std::vector<std::byte> bytes(count * size);
  for (std::size_t i = 0; i < count; ++i) {
    const std::uint32_t bits =
        i % 3 == 0 ? kOdd[i / 3 % std::size(kOdd)] : static_cast<std::uint32_t>((i + salt) * 0x9e3779b9u);
    std::memcpy(bytes.data() + i * size, reinterpret_cast<const std::byte*>(&bits) + 4 - size, size);
  }
  return bytes;
}

/// Tensors of kStartedSizes whose values are of every kind.
inline FormatModel model_of_every_kind(const FormatCase& format, Device device) {
  FormatModel model(format, device, kStartedSizes);
  for (std::size_t i = 0; i < model.size(); ++i) {
    const Tensor value = model.value(i).tensor();
    const std::vector<std::byte> bytes =
        bytes_of_every_kind(value.dtype, static_cast<std::size_t>(value.numel), i);
    copy({device, value.data}, {Device::cpu(), bytes.data()}, bytes.size());
  }
  return model;
}

/// The bytes that a stream begins with: those of the parameter, rounded to nearest, or zeros.
inline std::vector<std::byte> first_bytes(const FormatBuffer& value, const SavedState& state) {
  if (state.name != "master" && state.name != "ema") return std::vector<std::byte>(state.bytes.size());
  return encoded(state.dtype, value.floats());
}

/// Expects the first contents in the streams of all parameters from number `from` on.
inline void expect_first_contents(const FormatModel& model, const StateDict& dict, std::size_t from = 0) {
  for (std::size_t i = from; i < model.size(); ++i) {
    const SavedParameter& saved = dict.parameters[i];
    EXPECT_EQ(saved.step, 0);
    for (const SavedState& state : saved.states) {
      ASSERT_EQ(first_bytes(model.value(i), state), state.bytes)
          << state.name << " of " << saved.name << ", " << model.value(i).tensor().numel << " elements";
    }
  }
}

}  // namespace onepass::test
