// streams.cuh - the streams of one chunk, which load and store a tile at a time, for every codec.
#pragma once

#include <cstdint>
#include <type_traits>

#include "kernels/lanes.cuh"
#include "kernels/update/packed.cuh"
#include "onepass/rule/element.hpp"
#include "onepass/storage/formats.hpp"
#include "step/table.hpp"

namespace onepass::kernels {

using namespace step;

/// Number of elements in a tile: 16 bytes of float32, or of the 16-bit streams if there are any.
template <class Format>
inline constexpr int kTile = Format::kAllFloat32 ? 4 : 8;

/// The elements of a tile, decoded for the rule.
template <class Format, int kStates>
struct Tile {
  static constexpr int kCount = kTile<Format>;
  float param[kCount];
  float grad[kCount];
  float state[kStates > 0 ? kStates : 1][kCount];
};

/// Position of a tile in its chunk.
struct Place {
  std::int64_t at;  ///< Index of the tile's first element in the chunk.
  int count;        ///< Number of elements in the tile; lanes from `count` on are masked.
  int in_block;     ///< Index of the tile's first element in the block that it lies in.

  /// `lead`: Chunk::lead().
  __device__ __forceinline__ Place(std::int64_t at, int count, int lead)
      : at(at), count(count), in_block(static_cast<int>(at % storage::kBlock) + lead) {}
};

/// Returns the noise for one stream of a block: the one that half kHalf of the block's draw belongs to.
template <int kHalf, int kHalves>
__device__ __forceinline__ storage::Dither dither_of(const rule::BlockHalves<kHalves>& halves) {
  return storage::Dither::of_upper(halves.template upper<kHalf>());
}

/// Encodes a tile with stochastic rounding. The dither belongs to the block that the tile lies in.
template <class Codec, int kCount>
__device__ __forceinline__ void round_tile(const float (&values)[kCount], Place place, storage::Dither dither,
                                           Raw<typename Codec::Element, kCount>& raw) {
  const storage::Dither shifted = dither.from(place.in_block);
#pragma unroll
  for (int lane = 0; lane < kCount; ++lane) {
    raw.element[lane] = Codec::encode_stochastic(values[lane], shifted.at<16>(lane));
  }
}

/// A stream that stores one number per element.
template <class Codec>
struct ElementStream {
  typename Codec::Element* from;

  __device__ __forceinline__ ElementStream(void* stream, std::int64_t begin)
      : from(global<typename Codec::Element>(stream) + begin) {}
  /// The state with number `state` of a tensor, from the chunk on.
  __device__ __forceinline__ ElementStream(const TensorEntry& tensor, std::size_t state, const Chunk& chunk)
      : ElementStream(tensor.states[state], chunk.begin) {}
  [[nodiscard]] __device__ __forceinline__ Access access() const { return widest(from); }
  template <int kCount>
  __device__ __forceinline__ void load(float (&values)[kCount], Place place, Access access) const {
    kernels::load<Codec>(values, from + place.at, place.count, access);
  }
  template <int kCount>
  __device__ __forceinline__ void store(const float (&values)[kCount], Place place, Access access) const {
    kernels::store<Codec>(from + place.at, values, place.count, access);
  }
  /// Rounds stochastically and stores. The dither belongs to the block that the tile lies in.
  __device__ __forceinline__ void store_rounded(const float (&values)[8], Place place, Access access,
                                                storage::Dither dither) const {
    Raw<typename Codec::Element, 8> raw;
    round_tile<Codec>(values, place, dither, raw);
    raw.store(from + place.at, place.count, access);
  }
};

/// A quantised state: a code per element and a scale per block of 32 elements, which are the tiles of four
/// neighbouring lanes. Every lane of the warp must call load() and store(), with a count of 0 if it has no
/// element, because the lanes exchange their largest magnitudes.
template <class Codec>
struct ScaledStream {
  using Code = typename Codec::Code;
  using Scale = storage::Quantized8::Scale;
  static constexpr int kTilesOfBlock = storage::kBlock / 8;

  Code* codes;
  Scale::Element* scales;

  /// The state with number `state` of a tensor, from the chunk on.
  __device__ __forceinline__ ScaledStream(const TensorEntry& tensor, std::size_t state, const Chunk& chunk)
      : codes(global<Code>(tensor.states[state]) + chunk.begin),
        scales(global<Scale::Element>(tensor.scales[state]) + chunk.scale) {}
  [[nodiscard]] __device__ __forceinline__ Access access() const { return widest(codes); }
  /// Returns the index of the tile's block in the chunk. Unsigned, so that the division is a shift.
  static __device__ __forceinline__ std::uint64_t block_of(Place place) {
    return static_cast<std::uint64_t>(place.at) / storage::kBlock;
  }

  __device__ __forceinline__ void load(float (&values)[8], Place place, Access access) const {
    Raw<Code, 8> raw;
    raw.load(codes + place.at, place.count, access);
    const float scale = place.count > 0 ? Scale::decode(scales[block_of(place)]) : 0.0f;
    packed::decode<Codec>(values, raw, scale);
  }

  __device__ __forceinline__ void store(const float (&values)[8], Place place, Access access,
                                        storage::Dither dither) const {
    float staged[8];
    storage::Bits largest = 0;
#pragma unroll
    for (int lane = 0; lane < 8; ++lane) {
      staged[lane] = Codec::stage(values[lane]);
      const storage::Bits magnitude = lane < place.count ? storage::magnitude_of(staged[lane]) : 0u;
      largest = magnitude > largest ? magnitude : largest;
    }
#pragma unroll
    for (int width = 1; width < kTilesOfBlock; width *= 2) {
      const storage::Bits other = __shfl_xor_sync(0xffffffffu, largest, width);
      largest = other > largest ? other : largest;
    }
    const Scale::Element stored = Codec::scale(largest);
    const float scale = Scale::decode(stored);
    Raw<Code, 8> raw;
    packed::encode<Codec>(staged, raw, scale, dither.from(place.in_block));
    raw.store(codes + place.at, place.count, access);
    __syncwarp();  // all lanes of the block have read the old scale
    if (place.count > 0 && place.at % storage::kBlock == 0) scales[block_of(place)] = stored;
  }
  /// Does the same as store(), which always dithers codes.
  __device__ __forceinline__ void store_rounded(const float (&values)[8], Place place, Access access,
                                                storage::Dither dither) const {
    store(values, place, access, dither);
  }
};

/// Chooses the stream type of a variant's state.
template <class Format, class Variant, std::size_t kState>
struct StateStreamOf {
  using Type = ElementStream<typename Format::State>;
};
template <class Format, class Variant, std::size_t kState>
requires Format::kQuantized struct StateStreamOf<Format, Variant, kState> {
  static constexpr bool kNonnegative = (kNonnegativeStates<Variant> >> kState & 1u) != 0;
  using Type = ScaledStream<typename Format::State::template CurveOf<kNonnegative>>;
};
template <class Format, class Variant, std::size_t kState>
using StateStream = typename StateStreamOf<Format, Variant, kState>::Type;

/// The stream of a state. The streams of a chunk derive from one Numbered per state and find it by its
/// number; std::tuple works on the host only.
template <class Stream, std::size_t kState>
struct Numbered {
  Stream state;
};

/// A parameter and the remainder that completes it to its master.
template <class Format>
struct ParamStream {
  using Param = typename Format::Param;
  static constexpr int kCount = kTile<Format>;
  static constexpr bool kPacked = std::is_same_v<Param, storage::BFloat16Remainder8>;

  typename Param::Element* elements;
  typename Param::Remainder* remainders;

  __device__ __forceinline__ ParamStream(const TensorEntry& tensor, std::int64_t begin)
      : elements(global<typename Param::Element>(tensor.param) + begin), remainders(nullptr) {
    if constexpr (Format::kHasRemainder) {
      remainders = global<typename Param::Remainder>(tensor.remainder) + begin;
    }
  }
  [[nodiscard]] __device__ __forceinline__ bool wide() const {
    return widest(elements) == Access::sixteen &&
           (!Format::kHasRemainder || widest(remainders) == Access::sixteen);
  }

  __device__ __forceinline__ void load(float (&values)[kCount], Place place, bool wide) const {
    Raw<typename Param::Element, kCount> element;
    element.load(elements + place.at, place.count, wide ? Access::sixteen : widest(elements));
    if constexpr (Format::kHasRemainder) {
      Raw<typename Param::Remainder, kCount> remainder;
      remainder.load(remainders + place.at, place.count, wide ? Access::sixteen : widest(remainders));
      if constexpr (kPacked) {
        packed::decode(values, element, remainder);
      } else {
#pragma unroll
        for (int lane = 0; lane < kCount; ++lane) {
          values[lane] = Param::decode(element.element[lane], remainder.element[lane]);
        }
      }
    } else {
#pragma unroll
      for (int lane = 0; lane < kCount; ++lane) values[lane] = Param::decode(element.element[lane], {});
    }
  }

  __device__ __forceinline__ void store(const float (&values)[kCount], Place place, bool wide) const {
    Raw<typename Param::Element, kCount> element;
    Raw<typename Param::Remainder, kCount> remainder;
#pragma unroll
    for (int lane = 0; lane < kCount; ++lane) {
      Param::encode(values[lane], element.element[lane], remainder.element[lane]);
    }
    store(element, remainder, place, wide);
  }

  /// Rounds stochastically and stores. The dither belongs to the block that the tile lies in.
  __device__ __forceinline__ void store_rounded(const float (&values)[kCount], Place place, bool wide,
                                                storage::Dither dither) const {
    Raw<typename Param::Element, kCount> element;
    Raw<typename Param::Remainder, kCount> remainder;
    const storage::Dither shifted = dither.from(place.in_block);
    if constexpr (kPacked) {
      packed::encode(values, element, remainder, shifted);
    } else {
#pragma unroll
      for (int lane = 0; lane < kCount; ++lane) {
        Param::encode_stochastic(values[lane], element.element[lane], remainder.element[lane],
                                 shifted.at<16>(lane));
      }
    }
    store(element, remainder, place, wide);
  }

 private:
  __device__ __forceinline__ void store(
      const Raw<typename Param::Element, kCount>& element,
      [[maybe_unused]] const Raw<typename Param::Remainder, kCount>& remainder, Place place,
      bool wide) const {
    element.store(elements + place.at, place.count, wide ? Access::sixteen : widest(elements));
    if constexpr (Format::kHasRemainder) {
      remainder.store(remainders + place.at, place.count, wide ? Access::sixteen : widest(remainders));
    }
  }
};

/// A gradient in float32 or in the parameter's type.
template <class Format>
struct GradStream {
  void* from;
  bool is_float32;
  std::int64_t begin;

  __device__ __forceinline__ GradStream(void* stream, std::int64_t begin, DType type)
      : from(stream), is_float32(type == DType::float32), begin(begin) {}
  template <class Codec>
  [[nodiscard]] __device__ __forceinline__ typename Codec::Element* as() const {
    return global<typename Codec::Element>(from) + begin;
  }
  [[nodiscard]] __device__ __forceinline__ bool wide() const {
    return (reinterpret_cast<std::uintptr_t>(from) + begin * (is_float32 ? 4 : 2)) % 16 == 0;
  }
  template <int kCount>
  __device__ __forceinline__ void load(float (&values)[kCount], Place place, bool wide) const {
    if (Format::kAllFloat32 || is_float32) {
      load_as<storage::Float32>(values, place, wide);
    } else {
      load_as<typename Format::LowGrad>(values, place, wide);
    }
  }
  template <class Codec, int kCount>
  __device__ __forceinline__ void load_as(float (&values)[kCount], Place place, bool wide) const {
    auto* const stream = as<Codec>();
    kernels::load<Codec>(values, stream + place.at, place.count, wide ? Access::sixteen : widest(stream));
  }
  /// Writes zeros over `count` elements, in the tiles that load() reads, so that each thread zeroes the
  /// elements that it has read itself.
  template <int kThreadCount>
  __device__ __forceinline__ void zero(std::int64_t count) const {
    if (Format::kAllFloat32 || is_float32) {
      zero_range<storage::Float32, kThreadCount, kTile<Format>>(as<storage::Float32>(), count);
    } else {
      zero_range<typename Format::LowGrad, kThreadCount, kTile<Format>>(as<typename Format::LowGrad>(),
                                                                        count);
    }
  }
};

}  // namespace onepass::kernels
