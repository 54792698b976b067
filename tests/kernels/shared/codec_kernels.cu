#include "kernels/shared/codec_kernels.hpp"

#include "kernels/launch.cuh"
#include "kernels/update/packed.cuh"

namespace onepass::test {
namespace {

constexpr int kThreads = 128;
constexpr int kMostBlocks = 1 << 16;

__global__ void codec_kernel(const CodecInput* const inputs, CodecResults* const results, const int count) {
  const int i = static_cast<int>(blockIdx.x * kThreads + threadIdx.x);
  if (i < count) results[i] = CodecResults::at(inputs[i]);
}

__device__ bool differ(float a, float b) {
  return storage::bits_of(a) != storage::bits_of(b) && (a == a || b == b);
}

template <class Codec>
__device__ int wrong_codes(const CodecInput (&tile)[8]) {
  float staged[8], decoded[8];
  storage::Bits largest = 0;
  for (int lane = 0; lane < 8; ++lane) {
    staged[lane] = Codec::stage(storage::float_of(tile[lane].x));
    const storage::Bits own = storage::magnitude_of(staged[lane]);
    largest = storage::below(largest, own) ? own : largest;
  }
  const float scale = storage::BFloat16::decode(Codec::scale(largest));
  const auto dither = storage::Dither::of_upper(tile[1].bits);
  kernels::Raw<typename Codec::Code, 8> raw, any;
  kernels::packed::encode<Codec>(staged, raw, scale, dither);
  for (int lane = 0; lane < 8; ++lane) any.element[lane] = static_cast<typename Codec::Code>(tile[lane].bits);
  kernels::packed::decode<Codec>(decoded, any, scale);
  int wrong = 0;
  for (int lane = 0; lane < 8; ++lane) {
    wrong += raw.element[lane] != Codec::encode(staged[lane], scale, dither.at<storage::kNoiseBits>(lane));
    wrong += differ(decoded[lane], Codec::decode(any.element[lane], scale));
  }
  return wrong;
}

__device__ int wrong_remainders(const CodecInput (&tile)[8]) {
  using Codec = storage::BFloat16Remainder8;
  float values[8], decoded[8];
  kernels::packed::Element8 element, any_element;
  kernels::packed::Rest8 remainder, any_remainder;
  for (int lane = 0; lane < 8; ++lane) {
    values[lane] = storage::float_of(tile[lane].x);
    any_element.element[lane] = static_cast<std::uint16_t>(tile[lane].x >> 16);
    any_remainder.element[lane] = static_cast<std::uint8_t>(tile[lane].bits);
  }
  const auto dither = storage::Dither::of_upper(tile[1].bits);
  kernels::packed::encode(values, element, remainder, dither);
  kernels::packed::decode(decoded, any_element, any_remainder);
  int wrong = 0;
  for (int lane = 0; lane < 8; ++lane) {
    Codec::Element one{};
    Codec::Remainder rest{};
    Codec::encode_stochastic(values[lane], one, rest, dither.at<16>(lane));
    wrong += element.element[lane] != one || remainder.element[lane] != rest;
    wrong += differ(decoded[lane], Codec::decode(any_element.element[lane], any_remainder.element[lane]));
  }
  return wrong;
}

__global__ void packed_kernel(const CodecInput* const inputs, int* const tiles, const int count) {
  const int i = static_cast<int>(blockIdx.x * kThreads + threadIdx.x);
  if (i >= count) return;
  CodecInput tile[8];
  for (int lane = 0; lane < 8; ++lane) tile[lane] = inputs[8 * i + lane];
  tiles[i] =
      wrong_codes<storage::Signed8>(tile) + wrong_codes<storage::Nonnegative8>(tile) + wrong_remainders(tile);
}

}  // namespace

void packed_on_device(const CodecInput* inputs, int* tiles, int count) {
  const unsigned blocks = kernels::blocks_for((count + kThreads - 1) / kThreads, kMostBlocks);
  kernels::launch(packed_kernel, {blocks, kThreads, nullptr}, inputs, tiles, count);
}

void codecs_on_device(const CodecInput* inputs, CodecResults* results, int count) {
  const unsigned blocks = kernels::blocks_for((count + kThreads - 1) / kThreads, kMostBlocks);
  kernels::launch(codec_kernel, {blocks, kThreads, nullptr}, inputs, results, count);
}

}  // namespace onepass::test
