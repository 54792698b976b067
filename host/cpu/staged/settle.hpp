// settle.hpp - settles the streams of a chunk before its update, as rule::settle() does, where they lie: it
// reads gradients, and states only where gradients are 0. States of 8 bits settle in the update. Compiled
// once for each instruction set.
#pragma once

#include <algorithm>
#include <array>
#include <cstddef>
#include <cstdint>
#include <type_traits>
#include <utility>

#include "host/backend/cpu_rule.hpp"
#include "host/cpu/codecs/param_codec.hpp"
#include "onepass/arithmetic/bits.hpp"
#include "onepass/rule/element.hpp"
#include "onepass/storage/formats.hpp"
#include "step/lookup.hpp"
#include "step/table.hpp"

// Internal linkage: loops/update.hpp says why.
namespace onepass::cpu {
namespace {

/// The beginning of a tensor's coefficients (rule::TensorCoefficients), which is the same for every rule.
struct SharedCoefficients {
  rule::TensorStep step;
  rule::Around around;
};
static_assert(offsetof(SharedCoefficients, around) == sizeof(rule::TensorStep));  // as in rule_loops.hpp

inline const SharedCoefficients& shared_coefficients(const step::Table& table, std::int64_t tensor) {
  return *reinterpret_cast<const SharedCoefficients*>(static_cast<const char*>(table.coefficients) +
                                                      tensor * table.coefficient_bytes);
}

/// Elements whose gradients are tested at once.
constexpr std::int64_t kTested = 256;

/// Returns whether the bits are those of a zero of either sign, in any format.
template <class Bits>
constexpr bool is_zero(Bits x) {
  return static_cast<Bits>(x << 1) == 0;
}

template <class Bits>
bool has_zero(const Bits* grad, std::int64_t count) {
  unsigned zeros = 0;
  for (std::int64_t i = 0; i < count; ++i) zeros |= static_cast<unsigned>(is_zero(grad[i]));
  return zeros != 0;
}

/// The upper bits of a positive float32 as a float32 or bfloat16, which must hold it exactly.
template <class Bits>
Bits stored_as(float x) {
  return static_cast<Bits>(storage::bits_of(x) >> (32 - 8 * sizeof(Bits)));
}

/// Settles numbers in float32 or bfloat16: magnitudes are in the order of their bits.
template <class Grad, class Bits>
void settle_numbers(Bits* __restrict numbers, const Grad* __restrict grad, std::int64_t count, float below) {
  const auto end = stored_as<Bits>(below);
  constexpr auto kAllButSign = static_cast<Bits>(static_cast<Bits>(~Bits{0}) >> 1);
  for (std::int64_t i = 0; i < count; ++i) {
    const bool settles = is_zero(grad[i]) & ((numbers[i] & kAllButSign) < end);
    numbers[i] = settles ? Bits{0} : numbers[i];
  }
}

/// The same for states that are never negative (rule::settle_nonnegative()).
template <class Grad, class Bits>
void settle_nonnegative_numbers(Bits* __restrict numbers, const Grad* __restrict grad, std::int64_t count,
                                float below) {
  const auto least = stored_as<Bits>(below * 0x1p-20f);
  for (std::int64_t i = 0; i < count; ++i) {
    const bool settles = is_zero(grad[i]) & (numbers[i] != 0) & (numbers[i] < least);
    numbers[i] = settles ? least : numbers[i];
  }
}

/// Settles parameters: where they are float32, or have such a master, as numbers, else one by one.
template <class Format, class Grad>
void settle_params(const step::TensorEntry& tensor, step::Extent part, const Grad* grad, float below) {
  using Param = typename Format::Param;
  auto* const param = static_cast<typename Param::Element*>(tensor.param) + part.begin;
  typename Param::Remainder* remainder = nullptr;
  if constexpr (Format::kHasRemainder) {
    remainder = static_cast<typename Param::Remainder*>(tensor.remainder) + part.begin;
  }
  if constexpr (Format::kIsFloat32) {
    settle_numbers(reinterpret_cast<std::uint32_t*>(param), grad, part.count, below);
  } else if constexpr (std::is_same_v<typename Param::Remainder, float>) {
    settle_numbers(reinterpret_cast<std::uint32_t*>(remainder), grad, part.count, below);
  } else {
    for (std::int64_t i = 0; i < part.count; ++i) {
      const bool is_small = lane::abs(decode_param<Format>(param, remainder, i)) < below;
      if (!is_zero(grad[i]) || !is_small) continue;
      param[i] = 0;
      if constexpr (Format::kHasRemainder) remainder[i] = 0;
    }
  }
}

/// Settles the states of a part of a tensor of which Bits are the bits of a number: those that stay float32,
/// or the others.
template <class Bits, class Grad>
void settle_states(const step::TensorEntry& tensor, step::Extent part, const Grad* grad,
                   const StagedLoops& rule, unsigned which, float below) {
  for (int s = 0; s < rule.states; ++s) {
    if ((which >> s & 1u) == 0) continue;
    auto* const numbers = static_cast<Bits*>(tensor.states[s]) + part.begin;
    if ((rule.nonnegative >> s & 1u) != 0) {
      settle_nonnegative_numbers(numbers, grad, part.count, below);
    } else {
      settle_numbers(numbers, grad, part.count, below);
    }
  }
}

/// Settles a part of a tensor in a format. Grad: the bits of a gradient.
template <class Format, class Grad>
void settle_part(const step::TensorEntry& tensor, step::Extent part, const Grad* grad,
                 const StagedLoops& rule, const rule::Around& around) {
  const float below = around.settles_param(), states_below = around.settles_states;
  if (below != 0.0f) settle_params<Format>(tensor, part, grad, below);
  if constexpr (Format::kHasLossyStates) {
    settle_states<std::uint16_t>(tensor, part, grad, rule, ~rule.float32, states_below);
    settle_states<std::uint32_t>(tensor, part, grad, rule, rule.float32, states_below);
  } else {
    settle_states<std::uint32_t>(tensor, part, grad, rule, ~0u, states_below);
  }
}

template <class Format, class Grad>
void settle_chunk(const step::TensorEntry& tensor, step::Extent whole, const void* gradient,
                  const StagedLoops& rule, const rule::Around& around) {
  const auto* const grad = static_cast<const Grad*>(gradient) + whole.begin;
  for (std::int64_t i = 0; i < whole.count; i += kTested) {
    const step::Extent part{whole.begin + i, std::min(kTested, whole.count - i)};
    if (has_zero(grad + i, part.count)) settle_part<Format>(tensor, part, grad + i, rule, around);
  }
}

using SettleChunk = void (*)(const step::TensorEntry&, step::Extent, const void*, const StagedLoops&,
                             const rule::Around&);

/// The functions of a format for 16-bit and for float32 gradients; null if states of 8 bits settle in the
/// loop. A variant without states has the loop of another format, and settles as it does.
template <std::size_t kFormat, bool kHasStates>
constexpr std::array<SettleChunk, 2> settle_chunk_of() {
  using Format = storage::FormatAt<kFormat>;
  constexpr std::size_t kStateless = storage::kFormatFor<0, kFormat>;
  if constexpr (!Format::kQuantized) {
    return {&settle_chunk<Format, std::uint16_t>, &settle_chunk<Format, std::uint32_t>};
  } else if constexpr (!kHasStates && !storage::FormatAt<kStateless>::kQuantized) {
    return settle_chunk_of<kStateless, false>();
  } else {
    return {};
  }
}

template <bool kHasStates, std::size_t... kFormat>
constexpr auto settle_chunks(std::index_sequence<kFormat...> /*formats*/) {
  return std::array{settle_chunk_of<kFormat, kHasStates>()...};
}

/// TableLoops::settle.
inline void settle(const step::Table& table, const StagedLoops& rule, const step::Chunk& chunk) {
  using Formats = std::make_index_sequence<storage::kFormatCount>;
  static constexpr auto kAll = settle_chunks<true>(Formats{}), kStateless = settle_chunks<false>(Formats{});
  const SharedCoefficients& k = shared_coefficients(table, chunk.tensor);
  if (!k.step.active || !k.around.settles(rule.states != 0)) return;
  const step::TensorEntry& tensor = table.tensors[chunk.tensor];
  const SettleChunk settle =
      (rule.states != 0 ? kAll : kStateless)[tensor.format][tensor.grad_type == DType::float32 ? 1 : 0];
  if (settle != nullptr) {
    settle(tensor, chunk.extent(), table.grads[chunk.tensor], rule, k.around);
  }
}

}  // namespace
}  // namespace onepass::cpu
