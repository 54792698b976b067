// followers.cuh - updates a parameter's slow weights, moving average and 16-bit copy, after each chunk.
#pragma once

#include <cstdint>

#include "kernels/update/streams.cuh"
#include "onepass/rule/element.hpp"
#include "step/table.hpp"

namespace onepass::kernels {

using namespace step;

/// The slow weights, the moving average and the copy of a chunk that one thread block has just updated. Each
/// thread reads the parameters that it has stored itself back from the cache. To keep them in registers until
/// here would lower the occupancy of the update.
template <int kCount, int kThreadCount>
struct Followers {
  using Values = float[kCount];

  TensorEntry tensor;  ///< A copy: the compiler would reload a member of the table after every store.
  const rule::TensorStep& step;
  Chunk part;

  /// `load(values, place)` loads a tile of parameters, and `store(values, place)` stores one, if they may
  /// have slow weights. kMayCopy: whether they may have a copy.
  template <bool kMayCopy, bool kMayBeSlow, class Load, class Store>
  __device__ __forceinline__ void follow(const Load& load, const Store& store) const {
    for (std::int64_t at = kCount * static_cast<std::int64_t>(threadIdx.x); at < part.count;
         at += kCount * kThreadCount) {
      const std::int64_t left = std::int64_t{part.count} - at;
      const Place place(at, left < kCount ? static_cast<int>(left) : kCount, part.lead());
      Values values;
      load(values, place);
      if constexpr (kMayBeSlow) {
        if (step.slow_weight != 0.0f) {
          move_slow(values, place);
          store(values, place);
        }
      }
      if (tensor.ema != nullptr) move_ema(values, place);
      if constexpr (kMayCopy) {
        if (tensor.copy != nullptr) write_copy(values, place);
      }
    }
  }

 private:
  __device__ __forceinline__ void follow(Values& average, const Values& values) const {
#pragma unroll
    for (int lane = 0; lane < kCount; ++lane) {
      average[lane] = rule::follow(step, average[lane], values[lane]);
    }
  }

  __device__ __forceinline__ void move_slow(Values& values, Place place) const {
    const ElementStream<storage::Float32> stream(tensor.slow, part.begin);
    Values slow;
    stream.load(slow, place, stream.access());
#pragma unroll
    for (int lane = 0; lane < kCount; ++lane) values[lane] = rule::slow(step, slow[lane], values[lane]);
    stream.store(values, place, stream.access());
  }

  __device__ __forceinline__ void move_ema(const Values& values, Place place) const {
    Values average;
    if (tensor.ema_type == DType::float32) {
      const ElementStream<storage::Float32> stream(tensor.ema, part.begin);
      stream.load(average, place, stream.access());
      follow(average, values);
      stream.store(average, place, stream.access());
      return;
    }
    using Low = storage::BFloat16;
    const ElementStream<Low> stream(tensor.ema, part.begin);
    stream.load(average, place, stream.access());
    follow(average, values);
    const auto halves =
        step.draws.halves<rule::kEmaHalves>((part.first + place.at) / storage::kBlock, random::Purpose::ema);
    Raw<Low::Element, kCount> raw;
    round_tile<Low>(average, place, dither_of<0>(halves), raw);
    raw.store(stream.from + place.at, place.count, stream.access());
  }

  __device__ __forceinline__ void write_copy(const Values& values, Place place) const {
    if (tensor.copy_type == DType::bfloat16) {
      write_copy_as<storage::BFloat16>(values, place);
    } else {
      write_copy_as<storage::Float16>(values, place);
    }
  }
  template <class Codec>
  __device__ __forceinline__ void write_copy_as(const Values& values, Place place) const {
    const ElementStream<Codec> stream(tensor.copy, part.begin);
    stream.store(values, place, stream.access());
  }
};

}  // namespace onepass::kernels
