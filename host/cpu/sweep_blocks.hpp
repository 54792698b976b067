// sweep_blocks.hpp - one chunk of 16-bit parameters, 32 elements at a time: widened, moved, narrowed.
#pragma once

#include <algorithm>
#include <array>
#include <cstddef>
#include <cstdint>
#include <cstring>
#include <utility>

#include "host/cpu/block_codec.hpp"
#include "host/cpu/draw_run.hpp"
#include "host/cpu/sweep_run.hpp"

// Internal linkage, as in sweep.hpp.
namespace onepass::cpu {
namespace {

/// A stream's numbers of one block, in float32. The arrays are written and read by whole vectors, whose
/// number the compiler knows: it leaves them in registers, and the loop between is the rule's alone.
template <class Codec, Order kOrder, class Element = typename Codec::Element>
struct Block {
  alignas(64) float values[kBlock];

  ONEPASS_LANE explicit Block(const Element* from) { BlockCodec<Codec, kOrder>::decode(from, values); }
  [[nodiscard]] ONEPASS_LANE float get(int i) const { return values[i]; }
  ONEPASS_LANE void set(int i, float x) { values[i] = x; }
  template <class How>
  ONEPASS_LANE void store(Element* to, How how) const {
    BlockCodec<Codec, kOrder>::encode(values, to, how);
  }
};

/// Float32 is moved where it lies.
template <Order kOrder, class Element>
struct Block<storage::Float32, kOrder, Element> {
  Element* at;

  ONEPASS_LANE explicit Block(Element* from) : at(from) {}
  [[nodiscard]] ONEPASS_LANE float get(int i) const { return at[i]; }
  ONEPASS_LANE void set(int i, float x) { at[i] = x; }
  template <class How>
  ONEPASS_LANE void store(Element* /*to*/, How /*how*/) const {}
};

/// A parameter and what it keeps beside it, element by element.
template <class Param, Order kOrder>
struct ParamBlock {
  static_assert(kOrder == Order::natural);
  using Element = typename Param::Element;
  using Remainder = typename Param::Remainder;

  alignas(64) float values[kBlock];

  ONEPASS_LANE ParamBlock(const Element* element, const Remainder* remainder) {
    for (int i = 0; i < kBlock; ++i) values[i] = Param::decode(element[i], remainder[i]);
  }
  [[nodiscard]] ONEPASS_LANE float get(int i) const { return values[i]; }
  ONEPASS_LANE void set(int i, float x) { values[i] = x; }
  ONEPASS_LANE void store(Element* element, Remainder* remainder, Nearest /*how*/, Writes /*writes*/) const {
    for (int i = 0; i < kBlock; ++i) Param::encode(values[i], element[i], remainder[i]);
  }
};

template <class Codec>
inline constexpr bool kHasPairs<storage::Alone<Codec>> = kHasPairs<Codec>;
template <class Codec>
inline constexpr bool kHasNarrowed<storage::Alone<Codec>> = kHasNarrowed<Codec>;
template <class Low>
inline constexpr bool kHasNarrowed<storage::WithMaster<Low>> = kHasNarrowed<Low>;

template <class Codec, Order kOrder>
struct ParamBlock<storage::Alone<Codec>, kOrder> : Block<Codec, kOrder> {
  ONEPASS_LANE ParamBlock(typename Codec::Element* element, storage::NoRemainder* /*remainder*/)
      : Block<Codec, kOrder>(element) {}
  template <class How>
  ONEPASS_LANE void store(typename Codec::Element* element, storage::NoRemainder* /*remainder*/, How how,
                          Writes /*writes*/) const {
    Block<Codec, kOrder>::store(element, how);
  }
};

template <class Low, Order kOrder>
struct ParamBlock<storage::WithMaster<Low>, kOrder> {
  alignas(64) float values[kBlock];
  float* master;

  ONEPASS_LANE ParamBlock(typename Low::Element* /*element*/, float* remainder) : master(remainder) {}
  [[nodiscard]] ONEPASS_LANE float get(int i) const { return master[i]; }
  ONEPASS_LANE void set(int i, float x) { values[i] = master[i] = x; }
  template <class How>
  ONEPASS_LANE void store(typename Low::Element* element, float* /*remainder*/, How how,
                          Writes writes) const {
    BlockCodec<Low, kOrder>::encode(values, element, how, writes);
  }
};

#if defined(__AVX2__)

template <Order kOrder>
struct ParamBlock<storage::SplitBFloat16, kOrder> {
  alignas(64) float values[kBlock];

  ONEPASS_LANE ParamBlock(std::uint16_t* element, std::uint16_t* remainder) {
    SplitBlock<kOrder>::decode(element, remainder, values);
  }
  [[nodiscard]] ONEPASS_LANE float get(int i) const { return values[i]; }
  ONEPASS_LANE void set(int i, float x) { values[i] = x; }
  ONEPASS_LANE void store(std::uint16_t* element, std::uint16_t* remainder, Nearest /*how*/,
                          Writes /*writes*/) const {
    SplitBlock<kOrder>::encode(values, element, remainder);
  }
};

#endif

/// Where a run's streams are.
template <class Streams, std::size_t kStates>
struct Run {
  using Format = typename Streams::Format;
  using GradCodec = typename Streams::GradCodec;
  using Param = typename Format::Param::Element;
  using Remainder = typename Format::Param::Remainder;
  using Grad = typename GradCodec::Element;
  using State = typename Format::State::Element;
  /// An element meets its gradient and its states: all in pairs, or none.
  static constexpr bool kPairs = kHasPairs<typename Format::Param> && kHasPairs<GradCodec> &&
                                 (kStates == 0 || kHasPairs<typename Format::State>);
  static constexpr Order kOrder = kPairs ? Order::pairs : Order::natural;

  Param* param;
  Remainder* remainder;
  const Grad* grad;
  State* states[kStates + 1];
  Writes writes;  ///< Of the parameter, where it is not read.

  static Run of(const Streams& streams) {
    Run run{
        streams.param, streams.remainder, streams.grad, {}, writes_to(streams.param, streams.stores.unread)};
    for (std::size_t state = 0; state < kStates; ++state) {
      run.states[state] = static_cast<State*>(streams.states[state]) + streams.begin;
    }
    return run;
  }
  /// The same from `i` elements on.
  [[nodiscard]] Run from(std::int64_t i) const {
    Run run{param + i, Format::kHasRemainder ? remainder + i : nullptr, grad + i, {}, writes};
    for (std::size_t state = 0; state < kStates; ++state) run.states[state] = states[state] + i;
    return run;
  }
};

/// A block that is cut short, in full: stepped in a copy.
template <class Streams, std::size_t kStates>
class Padded {
 public:
  using Inner = Run<Streams, kStates>;

  Padded(const Inner& run, std::int64_t count) : run_(run), count_(static_cast<std::size_t>(count)) {
    copy(param_, run.param);
    copy(grad_, run.grad);
    if constexpr (Inner::Format::kHasRemainder) copy(remainder_, run.remainder);
    for (std::size_t state = 0; state < kStates; ++state) copy(states_[state], run.states[state]);
  }
  [[nodiscard]] Inner run() {
    Inner run{param_, remainder_, grad_, {}, Writes::through_cache};
    for (std::size_t state = 0; state < kStates; ++state) run.states[state] = states_[state];
    return run;
  }
  void put_back() {
    copy(run_.param, param_);
    if constexpr (Inner::Format::kHasRemainder) copy(run_.remainder, remainder_);
    for (std::size_t state = 0; state < kStates; ++state) copy(run_.states[state], states_[state]);
  }

 private:
  template <class Element>
  void copy(Element* to, const Element* from) const {
    std::memcpy(to, from, count_ * sizeof(Element));
  }

  Inner run_;
  std::size_t count_;
  typename Inner::Param param_[kBlock] = {};
  typename Inner::Remainder remainder_[kBlock] = {};
  typename Inner::Grad grad_[kBlock] = {};
  typename Inner::State states_[kStates + 1][kBlock] = {};
};

/// How the numbers of a run are rounded.
template <class How>
struct ToNearest {
  [[nodiscard]] ToNearest from(std::int64_t /*element*/) const { return {}; }
  [[nodiscard]] ONEPASS_LANE How of(std::int64_t /*element*/, std::size_t /*half*/) const { return {}; }
};

/// With kHalves for each block: of the states, then of the parameter.
template <int kHalves>
struct ByDraws {
  const std::uint16_t* halves;

  [[nodiscard]] ByDraws from(std::int64_t element) const { return {halves + element / kBlock * kHalves}; }
  [[nodiscard]] ONEPASS_LANE storage::Dither of(std::int64_t element, std::size_t half) const {
    return storage::Dither{halves[element / kBlock * kHalves + static_cast<std::int64_t>(half)]};
  }
};

/// Whole blocks. The coefficients and pointers are local copies, so that no store can change them; buffers
/// are known not to overlap (checked when they are registered), which ivdep passes on. A function of its own,
/// so that what the compiler made of it can be found; and one, not another for the block that is cut short.
template <class Variant, bool kPlain, class At, class Rounding, class Rule, std::size_t... kState>
__attribute__((noinline, noclone)) void sweep_blocks(const rule::TensorCoefficients<Rule> k, const At run,
                                                     std::int64_t count, const Rounding rounding,
                                                     std::index_sequence<kState...> /*states*/) {
  using Format = typename At::Format;
  constexpr Order kOrder = At::kOrder;
  constexpr std::size_t kParamHalf = std::max(rule::kGroupHalves<Format, Variant>, 1) - 1;
  using State = Block<typename Format::State, kOrder>;
  for (std::int64_t i = 0; i < count; i += kBlock) {
    typename At::Remainder* const remainder = Format::kHasRemainder ? run.remainder + i : nullptr;
    ParamBlock<typename Format::Param, kOrder> param(run.param + i, remainder);
    const Block<typename At::GradCodec, kOrder, const typename At::Grad> grad(run.grad + i);
    [[maybe_unused]] std::array<State, sizeof...(kState)> states{State(run.states[kState] + i)...};
#pragma GCC ivdep
    for (int j = 0; j < kBlock; ++j) {
      float p = param.get(j), value[sizeof...(kState) + 1] = {states[kState].get(j)...};
      rule::move<Variant, Format::kHasLossyStates, kPlain>(k, p, grad.get(j), value[kState]...);
      param.set(j, p);
      (..., states[kState].set(j, value[kState]));
    }
    param.store(run.param + i, remainder, rounding.of(i, kParamHalf), run.writes);
    (..., states[kState].store(run.states[kState] + i, rounding.of(i, kState)));
  }
}

/// `count` elements from the start of a block on.
template <class Variant, bool kPlain, class Streams, class Rounding, class Rule, std::size_t... kState>
void sweep_part(const rule::TensorCoefficients<Rule>& k, const Run<Streams, sizeof...(kState)>& run,
                std::int64_t count, Rounding rounding, std::index_sequence<kState...> indices) {
  const std::int64_t whole = count / kBlock * kBlock;
  if (whole > 0) sweep_blocks<Variant, kPlain>(k, run, whole, rounding, indices);
  if (whole < count) {
    Padded<Streams, sizeof...(kState)> rest(run.from(whole), count - whole);
    sweep_blocks<Variant, kPlain>(k, rest.run(), kBlock, rounding.from(whole), indices);
    rest.put_back();
  }
}

template <class Variant, bool kPlain, class How, class Rule, class Streams>
void sweep_rounding(const rule::TensorCoefficients<Rule>& k, const Streams& at, How /*how*/) {
  constexpr std::size_t kStates = kStateCount<Variant>;
  sweep_part<Variant, kPlain, Streams>(k, Run<Streams, kStates>::of(at), at.count, ToNearest<How>{},
                                       std::make_index_sequence<kStates>{});
}

template <class Variant, bool kPlain, class Rule, class Streams>
void sweep_to_nearest(const rule::TensorCoefficients<Rule>& k, const Streams& at) {
  using Format = typename Streams::Format;
  if constexpr (kHasNarrowed<typename Format::Param> || kHasNarrowed<typename Format::State>) {
    if (at.stores.narrows) return sweep_rounding<Variant, kPlain>(k, at, Narrowed{});
  }
  sweep_rounding<Variant, kPlain>(k, at, Nearest{});
}

template <class Variant, bool kPlain, class Rule, class Streams>
void sweep_rounded(const rule::TensorCoefficients<Rule>& k, const Streams& at) {
  constexpr std::size_t kStates = kStateCount<Variant>;
  const auto run = Run<Streams, kStates>::of(at);
  constexpr int kHalves = rule::kGroupHalves<typename Streams::Format, Variant>;
  using Drawn = DrawnHalves<kHalves>;
  Drawn drawn;
  for (std::int64_t i = 0; i < at.count; i += Drawn::kRun) {
    drawn.draw(k.step.draws, (at.begin + i) / kBlock, at.count - i, random::Purpose::rounding);
    sweep_part<Variant, kPlain, Streams>(k, run.from(i), std::min(Drawn::kRun, at.count - i),
                                         ByDraws<kHalves>{drawn.of(0)}, std::make_index_sequence<kStates>{});
  }
}

}  // namespace
}  // namespace onepass::cpu
