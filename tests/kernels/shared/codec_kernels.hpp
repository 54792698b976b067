// codec_kernels.hpp - evaluates every codec on the device.
#pragma once

#include <cstdint>

#include "onepass/storage/bfloat16.hpp"
#include "onepass/storage/float16.hpp"
#include "onepass/storage/master_float32.hpp"
#include "onepass/storage/quantized8.hpp"
#include "onepass/storage/remainder8.hpp"
#include "onepass/storage/split_bfloat16.hpp"

namespace onepass::test {

/// Input of the codecs: the bits of a number, and arbitrary bits to decode or to use as noise.
struct CodecInput {
  storage::Bits x, bits;
};

/// Output of all codecs for one input.
struct CodecResults {
  static constexpr int kCount = 26;
  storage::Bits value[kCount];

  static ONEPASS_LANE CodecResults at(const CodecInput& input) {
    CodecResults results{};
    storage::Bits* next = results.value;
    plain<storage::BFloat16>(next, input);
    plain<storage::Float16>(next, input);
    pair<storage::WithMaster<storage::BFloat16>>(next, input, storage::float_of(input.bits));
    pair<storage::SplitBFloat16>(next, input, static_cast<std::uint16_t>(input.bits));
    pair<storage::BFloat16Remainder8>(next, input, static_cast<std::uint8_t>(input.bits));
    pair<storage::Float16Remainder8>(next, input, static_cast<std::uint8_t>(input.bits));
    group<storage::Signed8>(next, input);
    group<storage::Nonnegative8>(next, input);
    return results;
  }

 private:
  using Bits = storage::Bits;

  /// Returns the bits of x, with one pattern for every NaN, because a codec may decode to any NaN.
  static ONEPASS_LANE Bits shown(float x) {
    const Bits bits = storage::bits_of(x);
    return (bits & storage::kMagnitude) > storage::kInfinity ? 0x7fc00000u : bits;
  }

  template <class Codec>
  static ONEPASS_LANE void plain(Bits*& next, const CodecInput& input) {
    const float x = storage::float_of(input.x);
    *next++ = Codec::encode(x);
    *next++ = Codec::encode_stochastic(x, input.bits);
    *next++ = shown(Codec::decode(static_cast<std::uint16_t>(input.bits)));
  }

  template <class Codec>
  static ONEPASS_LANE void pair(Bits*& next, const CodecInput& input, typename Codec::Remainder other) {
    typename Codec::Element element{};
    typename Codec::Remainder remainder{};
    if constexpr (requires { Codec::encode(0.0f, element, remainder); }) {
      Codec::encode(storage::float_of(input.x), element, remainder);
    } else {
      Codec::encode_stochastic(storage::float_of(input.x), element, remainder, input.bits);
    }
    *next++ = element;
    *next++ = shown(static_cast<float>(remainder));
    *next++ = shown(Codec::decode(static_cast<std::uint16_t>(input.bits >> 16), other));
  }

  /// Uses the larger of the scales of x and of input.bits, as if both were in one block.
  template <class Codec>
  static ONEPASS_LANE void group(Bits*& next, const CodecInput& input) {
    const float x = Codec::stage(storage::float_of(input.x));
    const Bits other = input.bits & storage::kMagnitude, own = storage::magnitude_of(x);
    const std::uint16_t stored = Codec::scale(storage::below(own, other) ? other : own);
    const float scale = storage::BFloat16::decode(stored);
    *next++ = stored;
    const auto dither = storage::Dither::of_upper(input.bits);
    *next++ = static_cast<Bits>(std::int32_t{Codec::encode(x, scale, dither.at<storage::kNoiseBits>(7))});
    *next++ = shown(Codec::decode(static_cast<typename Codec::Code>(input.bits), scale));
    *next++ = shown(Codec::decode(static_cast<typename Codec::Code>(input.bits), storage::float_of(input.x)));
  }
};

/// Sets results[i] to CodecResults::at(inputs[i]). All arrays are in device memory.
void codecs_on_device(const CodecInput* inputs, CodecResults* results, int count);

/// Encodes and decodes inputs [8 * i, 8 * i + 8) with kernels/update/packed.cuh and sets tiles[i] to the
/// number of results that differ from the codecs'. All arrays are in device memory.
void packed_on_device(const CodecInput* inputs, int* tiles, int count);

}  // namespace onepass::test
