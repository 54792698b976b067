// followers.hpp - the CPU loop that follows a parameter's update: it moves the parameter's slow weights and
// moving average, and writes its 16-bit copy. Compiled once for each instruction set.
#pragma once

#include <cstdint>
#include <type_traits>

#include "host/cpu/codecs/block_codec.hpp"
#include "host/cpu/codecs/drawn_halves.hpp"
#include "onepass/rule/element.hpp"
#include "onepass/storage/formats.hpp"
#include "step/by_dtype.hpp"
#include "step/lookup.hpp"
#include "step/table.hpp"

// Internal linkage: loops/update.hpp says why.
namespace onepass::cpu {
namespace {

/// Number of elements that are followed at a time: they stay in the first-level cache, and one DrawnHalves
/// has their random bits.
constexpr std::int64_t kFollowedElements = 2048;
static_assert(kFollowedElements <= DrawnHalves<rule::kEmaHalves>::kMaxElements);

/// Decodes a part of a parameter as it is stored.
template <class Param>
void decode_params(const step::TensorEntry& tensor, step::Extent part, float* __restrict values) {
  const auto* const param = static_cast<const typename Param::Element*>(tensor.param) + part.begin;
  if constexpr (std::is_same_v<typename Param::Remainder, storage::NoRemainder>) {
    for (std::int64_t i = 0; i < part.count; ++i) values[i] = Param::decode(param[i], {});
  } else {
    const auto* const rest = static_cast<const typename Param::Remainder*>(tensor.remainder) + part.begin;
    for (std::int64_t i = 0; i < part.count; ++i) values[i] = Param::decode(param[i], rest[i]);
  }
}
void load_params(const step::TensorEntry& tensor, step::Extent part, float* values) {
  step::by_param(tensor.param_type, tensor.master,
                 [&](auto codec) { decode_params<decltype(codec)>(tensor, part, values); });
}

/// Encodes a part of a parameter that holds every float32.
template <class Param>
void encode_params(const step::TensorEntry& tensor, step::Extent part, const float* __restrict values) {
  auto* const param = static_cast<typename Param::Element*>(tensor.param) + part.begin;
  if constexpr (std::is_same_v<typename Param::Remainder, storage::NoRemainder>) {
    storage::NoRemainder none;
    for (std::int64_t i = 0; i < part.count; ++i) Param::encode(values[i], param[i], none);
  } else {
    auto* const rest = static_cast<typename Param::Remainder*>(tensor.remainder) + part.begin;
    for (std::int64_t i = 0; i < part.count; ++i) Param::encode(values[i], param[i], rest[i]);
  }
}
void store_params(const step::TensorEntry& tensor, step::Extent part, const float* values) {
  step::by_param(tensor.param_type, tensor.master, [&](auto codec) {
    using Param = decltype(codec);
    if constexpr (storage::kHoldsFloat32<Param>) encode_params<Param>(tensor, part, values);
  });
}

/// Moves slow weights, and puts the parameter where they are.
void move_slow(const step::TensorEntry& tensor, const rule::TensorStep step, step::Extent part,
               float* __restrict values) {
  float* __restrict const slow = tensor.slow + part.begin;
  for (std::int64_t i = 0; i < part.count; ++i) {
    values[i] = rule::slow(step, slow[i], values[i]);
    slow[i] = values[i];
  }
  store_params(tensor, part, values);
}

/// Moves a float32 average.
inline void average(float* __restrict ema, const float* __restrict values, const rule::TensorStep step,
                    std::int64_t count) {
  for (std::int64_t i = 0; i < count; ++i) ema[i] = rule::follow(step, ema[i], values[i]);
}

/// Moves a bfloat16 average, and rounds it with `halves`, kEmaHalves for each block. The first element is
/// number `lead` of its block.
inline void average(std::uint16_t* __restrict ema, const float* __restrict values,
                    const std::uint16_t* __restrict halves, const rule::TensorStep step, std::int64_t count,
                    int lead) {
  using Low = storage::BFloat16;
  using Block = BlockCodec<Low, Order::natural>;
  std::int64_t i = 0;
  for (; i + kBlock <= count; i += kBlock) {
    alignas(64) float mean[kBlock];
    Block::decode(ema + i, mean);
    for (int j = 0; j < kBlock; ++j) mean[j] = rule::follow(step, mean[j], values[i + j]);
    Block::encode(mean, ema + i, storage::Dither{halves[i / kBlock * rule::kEmaHalves]});
  }
  for (int j = 0; i + j < count; ++j) {
    const storage::Dither dither{halves[i / kBlock * rule::kEmaHalves]};
    const float mean = rule::follow(step, Low::decode(ema[i + j]), values[i + j]);
    ema[i + j] = Low::encode_stochastic(mean, dither.at<16>(lead + j));
  }
}

/// Moves the average of a range of a tensor, which begins in block `block` of the logical tensor.
void move_ema(const step::TensorEntry& tensor, const rule::TensorStep& step, step::Extent part,
              std::int64_t block, int lead, const float* values) {
  if (tensor.ema_type == DType::float32) {
    average(static_cast<float*>(tensor.ema) + part.begin, values, step, part.count);
    return;
  }
  DrawnHalves<rule::kEmaHalves> drawn;
  drawn.draw(step.draws, block, part.count, random::Purpose::ema);
  average(static_cast<std::uint16_t*>(tensor.ema) + part.begin, values, drawn.of(0), step, part.count, lead);
}

/// Encodes `count` numbers to nearest. How: Nearest or NearestByInstruction.
template <class Codec, class How>
void encode_range(std::uint16_t* __restrict copy, const float* __restrict values, std::int64_t count, How how,
                  Writes writes) {
  std::int64_t i = 0;
  for (; i + kBlock <= count; i += kBlock) {
    BlockCodec<Codec, Order::natural>::encode(values + i, copy + i, how, writes);
  }
  for (; i < count; ++i) copy[i] = Codec::encode(values[i]);
}

/// Writes numbers to a range of a 16-bit stream that the loop does not read.
void write_low(DType dtype, void* stream, step::Extent part, const float* values, Stores stores) {
  auto* const low = static_cast<std::uint16_t*>(stream) + part.begin;
  const Writes writes = writes_to(low, stores.unread);
  if (dtype == DType::float16) {
    return encode_range<storage::Float16>(low, values, part.count, Nearest{}, writes);
  }
  if constexpr (kHasNearestByInstruction<storage::BFloat16>) {
    if (stores.has_bf16_instruction)
      return encode_range<storage::BFloat16>(low, values, part.count, NearestByInstruction{}, writes);
  }
  encode_range<storage::BFloat16>(low, values, part.count, Nearest{}, writes);
}

/// TableLoops::follow. Called after the update of these chunks, while they are in the cache.
void follow(const step::Table& table, std::int64_t first, std::int64_t last, Stores stores) {
  for (std::int64_t c = first; c < last; ++c) {
    const step::Chunk& chunk = table.chunks[c];
    const step::TensorEntry& tensor = table.tensors[chunk.tensor];
    const rule::TensorStep& step = step::step_of(table, chunk.tensor);
    if (!step::has_followers(tensor, step)) continue;
    const step::Extent whole = chunk.extent();
    for (std::int64_t i = 0; i < whole.count; i += kFollowedElements) {
      const std::int64_t left = whole.count - i;
      const step::Extent part{whole.begin + i, left < kFollowedElements ? left : kFollowedElements};
      float values[kFollowedElements];
      load_params(tensor, part, values);
      if (step.slow_weight != 0.0f) move_slow(tensor, step, part, values);
      if (tensor.ema != nullptr) {
        move_ema(tensor, step, part, chunk.block() + i / storage::kBlock, chunk.lead(), values);
      }
      if (tensor.copy != nullptr) write_low(tensor.copy_type, tensor.copy, part, values, stores);
    }
  }
  finish(stores.unread);
}

}  // namespace
}  // namespace onepass::cpu
