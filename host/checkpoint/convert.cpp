#include "host/checkpoint/convert.hpp"

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

template <class Codec>
void decode_blocks(const StoredState<const std::byte>& from, std::span<float> to) {
  for (std::size_t i = 0; i < to.size(); ++i) {
    const float scale = BFloat16::decode(element<std::uint16_t>(from.scales, (from.lead + i) / kBlock));
    to[i] = Codec::decode(element<typename Codec::Code>(from.elements, i), scale);
  }
}

/// Noise with which a code is rounded to the nearest.
constexpr Bits kToNearest = Bits{1} << (storage::kNoiseBits - 1);

template <class Codec>
void encode_block(std::span<float> from, std::size_t first, const StoredState<std::byte>& to) {
  Bits largest = 0;
  for (float& one : from) {
    one = Codec::stage(one);
    largest = std::max(largest, storage::magnitude_of(one));
  }
  const std::uint16_t scale = Codec::scale(largest);
  set_element(to.scales, (to.lead + first) / kBlock, scale);
  for (std::size_t i = 0; i < from.size(); ++i) {
    set_element(to.elements, first + i, Codec::encode(from[i], BFloat16::decode(scale), kToNearest));
  }
}

template <class Codec>
void encode_blocks(std::span<float> from, const StoredState<std::byte>& to) {
  for (std::size_t first = 0, count = 0; first < from.size(); first += count) {
    count = std::min(kBlock - (to.lead + first) % kBlock, from.size() - first);
    encode_block<Codec>(from.subspan(first, count), first, to);
  }
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
  if (from.is_nonnegative) return decode_blocks<storage::Nonnegative8>(from, to);
  decode_blocks<storage::Signed8>(from, to);
}

void encode_state(std::span<float> from, const StoredState<std::byte>& to) {
  if (to.format == States::float32) return encode<Float32>(from, to.elements);
  if (to.format == States::bfloat16) return encode<BFloat16>(from, to.elements);
  if (to.is_nonnegative) return encode_blocks<storage::Nonnegative8>(from, to);
  encode_blocks<storage::Signed8>(from, to);
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
