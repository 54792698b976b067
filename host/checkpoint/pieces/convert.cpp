#include "host/checkpoint/pieces/convert.hpp"

#include <algorithm>
#include <cstring>
#include <tuple>

#include "onepass/storage/quantized8.hpp"

namespace onepass::checkpoint {
namespace {

using storage::BFloat16;
using storage::Bits;
using storage::Float16;
using storage::Float32;
using storage::kBlock;
using storage::Quantized8;
using Scale = Quantized8::Scale::Element;

template <class T>
T element(std::span<const std::byte> bytes, std::size_t index) {
  T value;
  std::memcpy(&value, bytes.data() + index * sizeof value, sizeof value);
  return value;
}

template <class T>
void set_element(std::span<std::byte> bytes, std::size_t index, T value) {
  std::memcpy(bytes.data() + index * sizeof value, &value, sizeof value);
}

template <class Codec>
void decode(std::span<const std::byte> from, std::span<float> to) {
  for (std::size_t i = 0; i < to.size(); ++i)
    to[i] = Codec::decode(element<typename Codec::Element>(from, i));
}

template <class Codec>
void encode(std::span<const float> from, std::span<std::byte> to) {
  for (std::size_t i = 0; i < from.size(); ++i) set_element(to, i, Codec::encode(from[i]));
}

/// Calls work(block, first, count) for each block of stored elements: `count` of them, from `first` on.
template <class Byte, class Work>
void over_blocks(const StoredState<Byte>& state, const Work& work) {
  std::size_t count = 0;
  for (std::size_t first = 0; first < state.elements.size(); first += count) {
    count = std::min(kBlock - (state.lead + first) % kBlock, state.elements.size() - first);
    work((state.lead + first) / kBlock, first, static_cast<int>(count));
  }
}

void decode_blocks(const StoredState<const std::byte>& from, std::span<float> to) {
  Quantized8::with_curve(from.is_nonnegative, [&]<class Curve>(Curve /*of*/) {
    const auto* const codes = reinterpret_cast<const typename Curve::Code*>(from.elements.data());
    over_blocks(from, [&](std::size_t block, std::size_t first, int count) {
      const auto scale = element<Scale>(from.scales, block);
      Quantized8::decode<Curve>(codes + first, scale, count, to.data() + first);
    });
  });
}

/// Rounds codes to the nearest.
void encode_blocks(std::span<float> from, const StoredState<std::byte>& to) {
  const auto to_nearest = [](int /*element*/) { return Bits{1} << (storage::kNoiseBits - 1); };
  Quantized8::with_curve(to.is_nonnegative, [&]<class Curve>(Curve /*of*/) {
    auto* const codes = reinterpret_cast<typename Curve::Code*>(to.elements.data());
    for (float& one : from) one = Curve::stage(one);
    over_blocks(to, [&](std::size_t block, std::size_t first, int count) {
      const Scale scale = Quantized8::encode<Curve>(from.data() + first, count, to_nearest, codes + first);
      set_element(to.scales, block, scale);
    });
  });
}

/// Calls use(codec) with the codec of a parameter in this format, if one of the formats has it.
template <class Use>
bool with_codec(const storage::FormatName& format, const Use& use) {
  const auto is_used = [&]<class Format>(Format /*of*/) {
    if (Format::kName.param != format.param || Format::kName.master != format.master) return false;
    use(typename Format::Param{});
    return true;
  };
  return std::apply([&](auto... formats) { return (... || is_used(formats)); }, storage::Formats{});
}

template <class Codec>
inline constexpr bool kHasRest = !std::is_same_v<typename Codec::Remainder, storage::NoRemainder>;

/// Rounds to nearest: the random bits that a codec takes are half of their range.
template <class Codec>
void encode_nearest(float x, typename Codec::Element& stored, typename Codec::Remainder& rest) {
  if constexpr (requires { Codec::encode(x, stored, rest); }) {
    Codec::encode(x, stored, rest);
  } else {
    Codec::encode_stochastic(x, stored, rest, 0x8000u);
  }
}

}  // namespace

void decode_state(const StoredState<const std::byte>& from, std::span<float> to) {
  if (from.format == States::float32) return decode<Float32>(from.elements, to);
  if (from.format == States::bfloat16) return decode<BFloat16>(from.elements, to);
  decode_blocks(from, to);
}

void encode_state(std::span<float> from, const StoredState<std::byte>& to) {
  if (to.format == States::float32) return encode<Float32>(from, to.elements);
  if (to.format == States::bfloat16) return encode<BFloat16>(from, to.elements);
  encode_blocks(from, to);
}

bool has_codec(const storage::FormatName& format) {
  return with_codec(format, [](auto /*codec*/) {});
}

void decode_value(const StoredValue<const std::byte>& from, std::span<float> to) {
  (void)with_codec(from.format, [&]<class Codec>(Codec /*of*/) {
    for (std::size_t i = 0; i < to.size(); ++i) {
      typename Codec::Remainder rest{};
      if constexpr (kHasRest<Codec>) rest = element<typename Codec::Remainder>(from.rest, i);
      to[i] = Codec::decode(element<typename Codec::Element>(from.elements, i), rest);
    }
  });
}

void encode_value(std::span<const float> from, const StoredValue<std::byte>& to) {
  (void)with_codec(to.format, [&]<class Codec>(Codec /*of*/) {
    for (std::size_t i = 0; i < from.size(); ++i) {
      typename Codec::Element stored{};
      typename Codec::Remainder rest{};
      encode_nearest<Codec>(from[i], stored, rest);
      set_element(to.elements, i, stored);
      if constexpr (kHasRest<Codec>) set_element(to.rest, i, rest);
    }
  });
}

void encode_numbers(std::span<const float> from, DType dtype, std::span<std::byte> to) {
  if (dtype == DType::float32) return encode<Float32>(from, to);
  if (dtype == DType::bfloat16) return encode<BFloat16>(from, to);
  encode<Float16>(from, to);
}

void decode_numbers(DType dtype, std::span<const std::byte> from, std::span<float> to) {
  if (dtype == DType::float32) return decode<Float32>(from, to);
  if (dtype == DType::bfloat16) return decode<BFloat16>(from, to);
  decode<Float16>(from, to);
}

}  // namespace onepass::checkpoint
