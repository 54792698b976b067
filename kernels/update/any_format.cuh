// any_format.cuh - the update kernel of all formats that have none of their own: it reads a tensor's format
// from the table. A variant of a rule pays for one such kernel, however many formats there are.
#pragma once

#include <cstdint>
#include <utility>

#include "kernels/update/followers.cuh"
#include "kernels/update/streams.cuh"
#include "kernels/update/turns.cuh"
#include "onepass/rule/concept.hpp"
#include "step/lookup.hpp"
#include "step/table.hpp"

namespace onepass::kernels {

using namespace step;

/// The elements of a tile.
inline constexpr int kAnyTile = 8;
using AnyValues = float[kAnyTile];

/// A parameter in any format. What is float32, parameter or master, is one stream; all other parameters have
/// a stream of 16 bits, and perhaps a remainder.
struct AnyParam {
  void* element;
  void* remainder;
  std::int64_t begin;
  DType type;
  Master master;

  __device__ __forceinline__ AnyParam(const TensorEntry& tensor, std::int64_t first)
      : element(tensor.param),
        remainder(tensor.remainder),
        begin(first),
        type(tensor.param_type),
        master(tensor.master) {}

  [[nodiscard]] __device__ __forceinline__ bool is_float32() const {
    return type == DType::float32 || master == Master::float32;
  }

  __device__ __forceinline__ void load(AnyValues& values, Place place) const {
    if (is_float32()) {
      const ElementStream<storage::Float32> exact = exact_stream();
      return exact.load(values, place, exact.access());
    }
    const Raw16 low = loaded<Raw16>(element, place);
    if (master == Master::split)
      return decode<storage::SplitBFloat16>(values, low, loaded<Raw16>(remainder, place));
    if (master == Master::remainder8) {
      const Raw8 rest = loaded<Raw8>(remainder, place);
      return type == DType::bfloat16 ? decode<storage::BFloat16Remainder8>(values, low, rest)
                                     : decode<storage::Float16Remainder8>(values, low, rest);
    }
    constexpr Raw<storage::NoRemainder, kAnyTile> kNone{};
    type == DType::bfloat16 ? decode<storage::Alone<storage::BFloat16>>(values, low, kNone)
                            : decode<storage::Alone<storage::Float16>>(values, low, kNone);
  }

  /// Stores the parameter. `rounds`: Rounding::stochastic. The dither belongs to the block that the tile lies
  /// in.
  __device__ __forceinline__ void store(const AnyValues& values, Place place, bool rounds,
                                        storage::Dither dither) const {
    if (is_float32()) {
      const ElementStream<storage::Float32> exact = exact_stream();
      exact.store(values, place, exact.access());
      if (type == DType::float32) return;
    }
    const storage::Dither shifted = dither.from(place.in_block);
    Raw16 low, rest16;
    Raw8 rest8;
#pragma unroll
    for (int lane = 0; lane < kAnyTile; ++lane) {
      const float x = values[lane];
      const std::uint32_t noise = shifted.at<16>(lane);
      if (master == Master::split) {
        storage::SplitBFloat16::encode(x, low.element[lane], rest16.element[lane]);
      } else if (master == Master::remainder8) {
        type == DType::bfloat16
            ? storage::BFloat16Remainder8::encode_stochastic(x, low.element[lane], rest8.element[lane], noise)
            : storage::Float16Remainder8::encode_stochastic(x, low.element[lane], rest8.element[lane], noise);
      } else {
        const bool random = rounds && master == Master::none;
        low.element[lane] = type == DType::bfloat16 ? encoded<storage::BFloat16>(x, random, noise)
                                                    : encoded<storage::Float16>(x, random, noise);
      }
    }
    keep(element, low, place);
    if (master == Master::split) keep(remainder, rest16, place);
    if (master == Master::remainder8) keep(remainder, rest8, place);
  }

 private:
  using Raw16 = Raw<std::uint16_t, kAnyTile>;
  using Raw8 = Raw<std::uint8_t, kAnyTile>;

  [[nodiscard]] __device__ __forceinline__ ElementStream<storage::Float32> exact_stream() const {
    return {type == DType::float32 ? element : remainder, begin};
  }
  template <class RawOf>
  [[nodiscard]] __device__ __forceinline__ auto* at(void* stream, Place place) const {
    using Element = std::remove_reference_t<decltype(RawOf{}.element[0])>;
    return global<Element>(stream) + begin + place.at;
  }
  template <class RawOf>
  [[nodiscard]] __device__ __forceinline__ RawOf loaded(void* stream, Place place) const {
    auto* const from = at<RawOf>(stream, place);
    RawOf raw;
    raw.load(from, place.count, widest(from));
    return raw;
  }
  template <class RawOf>
  __device__ __forceinline__ void keep(void* stream, const RawOf& raw, Place place) const {
    auto* const to = at<RawOf>(stream, place);
    raw.store(to, place.count, widest(to));
  }
  template <class Param, class Rest>
  static __device__ __forceinline__ void decode(AnyValues& values, const Raw16& low, const Rest& rest) {
#pragma unroll
    for (int lane = 0; lane < kAnyTile; ++lane) {
      values[lane] = Param::decode(low.element[lane], rest.element[lane]);
    }
  }
  template <class Codec>
  static __device__ __forceinline__ std::uint16_t encoded(float x, bool random, std::uint32_t noise) {
    return random ? Codec::encode_stochastic(x, noise) : Codec::encode(x);
  }
};

/// The gradient of a parameter in any format: GradStream knows float32 by itself, and LowGrad by the format.
template <class Work>
__device__ __forceinline__ void with_gradient(const TensorEntry& tensor, const Work& work) {
  using namespace storage;
  if (tensor.param_type == DType::float16) {
    work(Format<Alone<Float16>, Float16, BFloat16, Master::none, States::bfloat16>{});
  } else {
    work(Format<Alone<BFloat16>, BFloat16, BFloat16, Master::none, States::bfloat16>{});
  }
}

/// The random bits of a block whose number of halves is known at run time.
struct AnyHalves {
  random::Words draw;
  int first;  ///< The block's first half in the draw.

  /// Returns the noise of stream `half` of the block. It selects the word, because an index would move the
  /// draw from registers to memory.
  [[nodiscard]] __device__ __forceinline__ storage::Dither dither(int half) const {
    const int at = first + half;
    const std::uint32_t even = (at & 4) != 0 ? draw.word[2] : draw.word[0];
    const std::uint32_t odd = (at & 4) != 0 ? draw.word[3] : draw.word[1];
    const std::uint32_t word = (at & 2) != 0 ? odd : even;
    return storage::Dither::of_upper((at & 1) != 0 ? word : word << 16);
  }
};

/// The 8-bit codec of a variant's state.
template <class Variant, std::size_t kState>
using Codec8Of = storage::Quantized8::CurveOf<(kNonnegativeStates<Variant> >> kState & 1u) != 0>;

/// State number kState of a tensor, in float32, bfloat16 or 8 bits.
template <class Variant, std::size_t kState>
struct AnyState {
  using Codec8 = Codec8Of<Variant, kState>;
  static constexpr bool kIsFloat32 = (kFloat32States<Variant> >> kState & 1u) != 0;

  const TensorEntry& tensor;
  const Chunk& chunk;

  template <class Stream>
  [[nodiscard]] __device__ __forceinline__ Stream as() const {
    return {tensor, kState, chunk};
  }
  __device__ __forceinline__ void load(AnyValues& values, Place place) const {
    if (kIsFloat32 || tensor.state_storage == States::float32) {
      const auto exact = as<ElementStream<storage::Float32>>();
      exact.load(values, place, exact.access());
    } else if (tensor.state_storage == States::bfloat16) {
      const auto low = as<ElementStream<storage::BFloat16>>();
      low.load(values, place, low.access());
    } else {
      const auto scaled = as<ScaledStream<Codec8>>();
      scaled.load(values, place, scaled.access());
    }
  }
  __device__ __forceinline__ void store(const AnyValues& values, Place place, bool rounds,
                                        storage::Dither dither) const {
    if (kIsFloat32 || tensor.state_storage == States::float32) {
      const auto exact = as<ElementStream<storage::Float32>>();
      exact.store(values, place, exact.access());
    } else if (tensor.state_storage == States::bfloat16) {
      const auto low = as<ElementStream<storage::BFloat16>>();
      if (rounds) return low.store_rounded(values, place, low.access(), dither);
      low.store(values, place, low.access());
    } else {
      const auto scaled = as<ScaledStream<Codec8>>();
      scaled.store(values, place, scaled.access(), dither);
    }
  }
};

/// The streams of one chunk of a tensor in any format.
template <class Variant, class Indices = std::make_index_sequence<kStateCount<Variant>>>
struct AnyStreams;

template <class Variant, std::size_t... kState>
struct AnyStreams<Variant, std::index_sequence<kState...>> {
  static constexpr int kStates = sizeof...(kState);
  static constexpr int kLines = kAxisCount<Variant>;
  static constexpr int kThreadCount = 128;
  /// Thread blocks that must fit on a multiprocessor: with one more, ptxas would spill registers.
  static constexpr int kMinThreadBlocks = kStates > 2 ? 2 : 3;
  using TurnsOf = Turns<kAnyTile, kThreadCount>;

  struct TileOf {
    AnyValues param;
    AnyValues grad;
    AnyValues state[kStates > 0 ? kStates : 1];
    AnyValues number[kLines > 0 ? kLines : 1];  ///< Of the elements' rows and columns.
  };

  TensorEntry tensor;  ///< A copy: the compiler would reload a member of the table after every store.
  void* gradient;
  Chunk chunk;

  __device__ __forceinline__ AnyStreams(const TensorEntry& of, void* grad, const Chunk& part)
      : tensor(of), gradient(grad), chunk(part) {}

  template <std::size_t kIndex>
  [[nodiscard]] __device__ __forceinline__ AnyState<Variant, kIndex> state() const {
    return {tensor, chunk};
  }
  [[nodiscard]] __device__ __forceinline__ AnyParam param() const { return {tensor, chunk.begin}; }
  /// Returns whether the format's states are rounded with random bits in a step, and whether the parameter
  /// is.
  [[nodiscard]] __device__ __forceinline__ bool draws_states(bool rounds) const {
    return tensor.state_storage == States::quantized8 || (tensor.state_storage == States::bfloat16 && rounds);
  }
  [[nodiscard]] __device__ __forceinline__ bool draws_param(bool rounds) const {
    const bool keeps_nothing = tensor.master == Master::none && tensor.param_type != DType::float32;
    return tensor.master == Master::remainder8 || (keeps_nothing && rounds);
  }
  /// rule::block_halves() of the tensor's format.
  [[nodiscard]] __device__ __forceinline__ int block_halves() const {
    return rule::halves_of((draws_states(true) ? kStates : 0) + (draws_param(true) ? 1 : 0));
  }

  __device__ __forceinline__ void load(TileOf& tile, Place place) const {
    param().load(tile.param, place);
    load_gradient(tile, place);
    (..., state<kState>().load(tile.state[kState], place));
  }

  /// Loads the numbers of the rows and columns that the tile's elements are in.
  __device__ __forceinline__ void load_numbers(TileOf& tile, Place place, const AxisEntry& axes) const {
    const std::int64_t first = chunk.first + place.at;
    const std::int64_t columns = axes.matrices.columns;
    std::int64_t row = quotient(first, columns), column = first - row * columns;
    std::int64_t matrix = quotient(row, axes.matrices.rows);
#pragma unroll
    for (int lane = 0; lane < kAnyTile; ++lane) {
      const bool exists = lane < place.count;
#pragma unroll
      for (int i = 0; i < kLines; ++i) {
        const std::int64_t at = axes.along[i] == rule::Axis::rows ? row : matrix * columns + column;
        tile.number[i][lane] = exists ? global<float>(axes.numbers[i])[at] : 0.0f;
      }
      if (++column < columns) continue;
      column = 0;
      matrix = quotient(++row, axes.matrices.rows);
    }
  }

  /// Loads the streams of kRead, which are bits as in kMeasured. Coupled decay and L1 need the parameter,
  /// whether it is among them or not.
  template <unsigned kRead>
  __device__ __forceinline__ void load_some(TileOf& tile, Place place, const rule::Around& around) const {
    if ((kRead & rule::kParam) != 0 || around.l2 != 0.0f || around.l1 != 0.0f) {
      param().load(tile.param, place);
    }
    if ((kRead & rule::kGrad) != 0) load_gradient(tile, place);
    (..., ((kRead & rule::kState<kState>) != 0 ? state<kState>().load(tile.state[kState], place) : void()));
  }

  /// Stores all streams but the gradient. Call it in every turn, by all lanes of the warp.
  __device__ __forceinline__ void store(const rule::TensorStep& step, const TileOf& tile, Place place,
                                        TurnsOf& turns) const {
    const bool rounds = step.rounds_stochastically != 0;
    const int each = block_halves();
    AnyHalves halves{};
    if (draws_states(rounds) || draws_param(rounds)) {
      halves.draw = turns.draw(step.draws, chunk.first, random::Purpose::rounding, each);
      halves.first = step.draws.place((chunk.first + place.at) / storage::kBlock, each);
    }
    param().store(tile.param, place, rounds, halves.dither(each - 1));
    (..., state<kState>().store(tile.state[kState], place, rounds, halves.dither(int{kState})));
  }

  template <class Rule>
  __device__ __forceinline__ void move(const rule::TensorCoefficients<Rule>& k, TileOf& tile) const {
    const bool simple = k.around.extras() != rule::Extras::all && !k.around.settles(kStates != 0);
    if (simple) return move_by<rule::Extras::scale>(k, tile);
    move_by<rule::Extras::settle>(k, tile);
  }

 private:
  /// Most numbers have 32 bits, whose quotients take a fifth of the time.
  static __device__ __forceinline__ std::int64_t quotient(std::int64_t a, std::int64_t b) {
    if ((a | b) >> 32 != 0) return a / b;
    return static_cast<std::uint32_t>(a) / static_cast<std::uint32_t>(b);
  }
  __device__ __forceinline__ void load_gradient(TileOf& tile, Place place) const {
    with_gradient(tensor, [&](auto format) {
      GradStream<decltype(format)>(gradient, chunk.begin, tensor.grad_type).load(tile.grad, place, false);
    });
  }
  template <rule::Extras kExtras, class Rule>
  __device__ __forceinline__ void move_by(const rule::TensorCoefficients<Rule>& k, TileOf& tile) const {
    if constexpr (Compressible<Variant>) {
      if (tensor.state_storage != States::float32) return move_all<true, kExtras>(k, tile);
    }
    move_all<false, kExtras>(k, tile);
  }
  template <bool kLossy, rule::Extras kExtras, class Rule>
  static __device__ __forceinline__ void move_all(const rule::TensorCoefficients<Rule>& k, TileOf& tile) {
    move_lanes<kLossy, kExtras>(k, tile, std::make_index_sequence<kLines>{});
  }
  template <bool kLossy, rule::Extras kExtras, class Rule, std::size_t... kLine>
  static __device__ __forceinline__ void move_lanes(const rule::TensorCoefficients<Rule>& k, TileOf& tile,
                                                    std::index_sequence<kLine...> /*lines*/) {
#pragma unroll
    for (int lane = 0; lane < kAnyTile; ++lane) {
      rule::move<Variant, kLossy, kExtras>(k, tile.param[lane], tile.grad[lane], tile.state[kState][lane]...,
                                           tile.number[kLine][lane]...);
    }
  }
};

/// Does what elementwise() does, for tensors of any format.
template <class Rule, class Variant>
__global__ void __launch_bounds__(AnyStreams<Variant>::kThreadCount, AnyStreams<Variant>::kMinThreadBlocks)
    any_format(const Table table) {
  using Streams = AnyStreams<Variant>;
  constexpr int kThreadCount = Streams::kThreadCount;
  for (std::int64_t c = blockIdx.x; c < table.chunk_count; c += gridDim.x) {
    const Chunk chunk = table.chunks[c];
    const rule::TensorCoefficients<Rule> k = coefficients<Rule>(table)[chunk.tensor];
    if (!k.step.active && !k.step.zero_grad) continue;
    const Streams streams(table.tensors[chunk.tensor], table.grads[chunk.tensor], chunk);
    if (k.step.active) {
      const Extent part = chunk.extent();
      for (typename Streams::TurnsOf turns; turns.any(part); turns.advance()) {
        const Place place(turns.at(), turns.count(part), chunk.lead());
        typename Streams::TileOf tile;
        streams.load(tile, place);
        if constexpr (Streams::kLines != 0) streams.load_numbers(tile, place, table.axes[chunk.tensor]);
        streams.move(k, tile);
        streams.store(k.step, tile, place, turns);
      }
    }
    if (has_followers(streams.tensor, k.step)) {
      Followers<kAnyTile, kThreadCount>{streams.tensor, k.step, chunk}.template follow<true, true>(
          [&](auto& values, Place place) { streams.param().load(values, place); },
          [&](const auto& values, Place place) {
            streams.param().store(values, place, false, storage::Dither{std::uint16_t{0}});
          });
    }
    if (k.step.zero_grad) {
      with_gradient(streams.tensor, [&](auto format) {
        GradStream<decltype(format)>(streams.gradient, chunk.begin, streams.tensor.grad_type)
            .template zero<kThreadCount>(chunk.count);
      });
    }
  }
}

}  // namespace onepass::kernels
