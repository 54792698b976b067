// traffic_loops.hpp - the loops of the limit. Compiled once for each instruction set, with the flags of the
// library's own loops.
#pragma once

#include <cstddef>
#include <cstdint>
#include <utility>

#include "bench/limit/traffic.hpp"
#include "onepass/storage/formats.hpp"

// Internal linkage, because the builds for different instruction sets must not share a symbol.
namespace onepass::bench {
namespace {

/// Elements that one iteration of the loop moves: a cache line of float32.
constexpr int kUnit = 16;
using storage::kBlock;

/// Bytes of the widest vector of the instruction set. GCC 12 splits wider vectors into single words.
#if defined(__AVX512F__)
constexpr int kWidest = 64;
#elif defined(__AVX2__)
constexpr int kWidest = 32;
#else
constexpr int kWidest = 16;
#endif

template <int kBytes>
struct Wide {
  using Vector __attribute__((vector_size(kBytes))) = std::uint32_t;

  /// Loads from any address, because a tensor need not be aligned.
  static inline __attribute__((always_inline)) void load(Vector& to, const std::byte* from) {
    __builtin_memcpy(&to, from, sizeof to);
  }
  static inline __attribute__((always_inline)) void store(std::byte* to, const Vector& from) {
    __builtin_memcpy(to, &from, sizeof from);
  }
};

/// A stream of kBytes per element. Moves nothing if kBytes is 0.
template <int kBytes, bool kRead = true>
struct Stream {
  static inline __attribute__((always_inline)) void move(std::byte* data, std::int64_t unit,
                                                         std::uint32_t zero) {
    if constexpr (kBytes > 0) {
      constexpr int kSize = kBytes * kUnit, kPart = kSize < kWidest ? kSize : kWidest;
      using Part = Wide<kPart>;
      std::byte* const at = data + unit * kSize;
#pragma GCC unroll 4
      for (int part = 0; part < kSize; part += kPart) {
        typename Part::Vector vector{};
        if constexpr (kRead) Part::load(vector, at + part);
        vector ^= zero;
        Part::store(at + part, vector);
      }
    }
  }
  /// Moves the last elements of a tensor whose size is not a multiple of kUnit.
  static void move_tail(std::byte* data, std::int64_t begin, std::int64_t end, std::uint32_t zero) {
    for (std::int64_t i = begin * kBytes; i < end * kBytes; ++i) {
      data[i] = (kRead ? data[i] : std::byte{0}) ^ static_cast<std::byte>(zero);
    }
  }
};

/// The streams of a storage format.
template <class Format, bool kLowGrad>
struct Kind {
  static constexpr bool kHasMaster = Format::kName.master == Master::float32;
  static constexpr int kGrad = kLowGrad ? static_cast<int>(size_of(Format::Param::kDType)) : 4;
  static constexpr int kState = static_cast<int>(size_of(Format::State::kDType));
  static constexpr int kRemainder =
      Format::kHasRemainder ? static_cast<int>(sizeof(typename Format::Param::Remainder)) : 0;
  using Param = Stream<static_cast<int>(size_of(Format::Param::kDType)), !kHasMaster>;
  using Remainder = Stream<kRemainder>;
  using State = Stream<kState>;
};

inline void move_scales(std::byte* scales, std::int64_t begin, std::int64_t end, std::uint32_t zero) {
  using Scale = storage::Quantized8::Scale::Element;
  auto* const at = reinterpret_cast<Scale*>(scales);
  for (std::int64_t g = begin / kBlock; g < (end + kBlock - 1) / kBlock; ++g) {
    at[g] = static_cast<Scale>(at[g] ^ zero);
  }
}

template <class Kind, int... kState>
std::uint32_t move(const TensorStreams& streams, std::int64_t begin, std::int64_t end, std::uint32_t zero,
                   std::integer_sequence<int, kState...>) {
  constexpr int kSize = Kind::kGrad * kUnit, kPart = kSize < kWidest ? kSize : kWidest;
  using Gradients = Wide<kPart>;
  const TensorStreams at = streams;  // a copy, because a store through std::byte* might alias the pointers
  typename Gradients::Vector seen{};
  std::int64_t unit = begin / kUnit;
  for (; (unit + 1) * kUnit <= end; ++unit) {
#pragma GCC unroll 4
    for (int part = 0; part < kSize; part += kPart) {
      typename Gradients::Vector gradients;
      Gradients::load(gradients, at.grad + unit * kSize + part);
      seen |= gradients;
    }
    (Kind::State::move(at.states[kState], unit, zero), ...);
    Kind::Remainder::move(at.remainder, unit, zero);
    Kind::Param::move(at.param, unit, zero);
  }
  std::uint32_t bits = 0;
  for (std::size_t lane = 0; lane < sizeof seen / sizeof bits; ++lane) bits |= seen[lane];
  const std::int64_t rest = unit * kUnit;
  for (std::int64_t i = rest * Kind::kGrad; i < end * Kind::kGrad; ++i) {
    bits |= static_cast<std::uint32_t>(at.grad[i]) << i % 4 * 8;
  }
  (Kind::State::move_tail(at.states[kState], rest, end, zero), ...);
  Kind::Remainder::move_tail(at.remainder, rest, end, zero);
  Kind::Param::move_tail(at.param, rest, end, zero);
  ((at.scales[kState] != nullptr ? move_scales(at.scales[kState], begin, end, zero) : void()), ...);
  return bits;
}

template <std::size_t kFormat, bool kLowGrad, int kStates>
std::uint32_t traffic_of(const TensorStreams& streams, std::int64_t begin, std::int64_t end,
                         std::uint32_t zero) {
  return move<Kind<storage::FormatAt<kFormat>, kLowGrad>>(streams, begin, end, zero,
                                                          std::make_integer_sequence<int, kStates>{});
}

constexpr std::size_t kStateCounts = TensorStreams::kMaxStates + 1;

/// Makes the table of loops in the order of TrafficTable.
template <std::size_t... kIndex>
constexpr auto table_of(std::index_sequence<kIndex...>) {
  struct All {
    Traffic loops[sizeof...(kIndex)];
  };
  return All{{&traffic_of<kIndex / (2 * kStateCounts), kIndex / kStateCounts % 2 == 1,
                          static_cast<int>(kIndex % kStateCounts)>...}};
}

constexpr auto kLoops = table_of(std::make_index_sequence<kMeasuredFormats * 2 * kStateCounts>{});

}  // namespace
}  // namespace onepass::bench
