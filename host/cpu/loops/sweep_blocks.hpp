// sweep_blocks.hpp - one chunk of 16-bit parameters, 32 elements at a time: widened, moved, and after a while
// narrowed.
#pragma once

#include <algorithm>
#include <array>
#include <bit>
#include <cstddef>
#include <cstdint>
#include <cstring>
#include <type_traits>
#include <utility>

#include "host/cpu/codecs/block_codec.hpp"
#include "host/cpu/codecs/draw_run.hpp"
#include "host/cpu/loops/sweep_run.hpp"

// Internal linkage, as in sweep.hpp.
namespace onepass::cpu {
namespace {

/// A stream's numbers of one block, in float32. The array is written and read by whole vectors, whose number
/// the compiler knows: it leaves it in registers, and the loop that reads it is the rule's alone.
template <class Codec, Order kOrder>
struct Loaded {
  alignas(64) float values[kBlock];

  ONEPASS_LANE explicit Loaded(const typename Codec::Element* from) {
    BlockCodec<Codec, kOrder>::decode(from, values);
  }
};

/// Float32 is moved where it lies.
template <Order kOrder>
struct Loaded<storage::Float32, kOrder> {
  const float* values;

  ONEPASS_LANE explicit Loaded(const float* from) : values(from) {}
};

/// Where the rule leaves a stream's numbers: beside it, until they are narrowed, or where they lie.
template <class Codec>
ONEPASS_LANE float* moved_to(float* beside, typename Codec::Element* stream) {
  if constexpr (std::is_same_v<Codec, storage::Float32>) {
    return stream;
  } else {
    return beside;
  }
}

template <class Codec, Order kOrder, class How>
ONEPASS_LANE void narrow(const float* moved, typename Codec::Element* to, How how) {
  if constexpr (!std::is_same_v<Codec, storage::Float32>) BlockCodec<Codec, kOrder>::encode(moved, to, how);
}

/// A parameter and what it keeps beside it, element by element.
template <class Param, Order kOrder>
struct ParamBlock {
  static_assert(kOrder == Order::natural);

  static ONEPASS_LANE void decode(const typename Param::Element* element,
                                  const typename Param::Remainder* remainder, float* to) {
    for (int i = 0; i < kBlock; ++i) to[i] = Param::decode(element[i], remainder[i]);
  }
  static ONEPASS_LANE void encode(const float* from, typename Param::Element* element,
                                  typename Param::Remainder* remainder, Nearest /*how*/, Writes /*writes*/) {
    for (int i = 0; i < kBlock; ++i) Param::encode(from[i], element[i], remainder[i]);
  }
};

template <class Codec>
inline constexpr bool kHasPairs<storage::Alone<Codec>> = kHasPairs<Codec>;
template <class Codec>
inline constexpr bool kHasNarrowed<storage::Alone<Codec>> = kHasNarrowed<Codec>;
template <class Low>
inline constexpr bool kHasNarrowed<storage::WithMaster<Low>> = kHasNarrowed<Low>;

template <class Codec, Order kOrder>
struct ParamBlock<storage::Alone<Codec>, kOrder> {
  using Element = typename Codec::Element;
  using Remainder = storage::NoRemainder;

  static ONEPASS_LANE void decode(const Element* element, const Remainder* /*remainder*/, float* to) {
    BlockCodec<Codec, kOrder>::decode(element, to);
  }
  template <class How>
  static ONEPASS_LANE void encode(const float* from, Element* element, Remainder* /*remainder*/, How how,
                                  Writes /*writes*/) {
    BlockCodec<Codec, kOrder>::encode(from, element, how);
  }
};

template <class Low, Order kOrder>
struct ParamBlock<storage::WithMaster<Low>, kOrder> {
  using Element = typename Low::Element;

  template <class How>
  static ONEPASS_LANE void encode(const float* from, Element* element, float* /*master*/, How how,
                                  Writes writes) {
    BlockCodec<Low, kOrder>::encode(from, element, how, writes);
  }
};

#if defined(__AVX2__)

template <Order kOrder>
struct ParamBlock<storage::SplitBFloat16, kOrder> : SplitBlock<kOrder> {};

#endif

template <class Param, Order kOrder>
struct LoadedParam {
  alignas(64) float values[kBlock];

  ONEPASS_LANE LoadedParam(const typename Param::Element* element,
                           const typename Param::Remainder* remainder) {
    ParamBlock<Param, kOrder>::decode(element, remainder, values);
  }
};

template <class Low, Order kOrder>
struct LoadedParam<storage::WithMaster<Low>, kOrder> : Loaded<storage::Float32, kOrder> {
  ONEPASS_LANE LoadedParam(const typename Low::Element* /*element*/, const float* master)
      : Loaded<storage::Float32, kOrder>(master) {}
};

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
  static constexpr bool kHasMaster = std::is_same_v<Remainder, float>;
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
  [[nodiscard]] ONEPASS_LANE Remainder* remainder_from(std::int64_t i) const {
    return Format::kHasRemainder ? remainder + i : nullptr;
  }
  /// The same from `i` elements on.
  [[nodiscard]] Run from(std::int64_t i) const {
    Run run{param + i, remainder_from(i), grad + i, {}, writes};
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

/// Blocks that are moved before the first of them is narrowed. Narrowing waits for the rule's sums, roots and
/// divisions: where it is much, of several streams, the processor has no room to begin the next block's.
template <class At, std::size_t kStates>
inline constexpr bool kNarrowsMuch = kStates > 0 && ((At::Format::kHasRemainder && !At::kHasMaster) ||
                                                     At::Format::kHasLossyStates);
template <class At, std::size_t kStates>
inline constexpr int kWaiting = kNarrowsMuch<At, kStates> ? 2 : 0;

/// One block, through the rule: its parameters into `moved`, beside their master if they have one, and its
/// states to where they are narrowed from, or where they lie.
template <class Variant, bool kPlain, class At, class Rule, std::size_t... kState, class... To>
ONEPASS_LANE void move_block(const rule::TensorCoefficients<Rule>& k, const At& run, std::int64_t i,
                             std::index_sequence<kState...> /*states*/, float* __restrict moved,
                             To*... moved_state) {
  using Format = typename At::Format;
  using State = Loaded<typename Format::State, At::kOrder>;
  const LoadedParam<typename Format::Param, At::kOrder> param(run.param + i, run.remainder_from(i));
  const Loaded<typename At::GradCodec, At::kOrder> grad(run.grad + i);
  [[maybe_unused]] const std::array<State, sizeof...(kState)> states{State(run.states[kState] + i)...};
#pragma GCC ivdep
  for (int j = 0; j < kBlock; ++j) {
    float p = param.values[j], value[sizeof...(kState) + 1] = {states[kState].values[j]...};
    rule::move<Variant, Format::kHasLossyStates, kPlain>(k, p, grad.values[j], value[kState]...);
    if constexpr (At::kHasMaster) run.remainder[i + j] = p;
    moved[j] = p;
    ((moved_state[j] = value[kState]), ...);
  }
}

/// What move_block() has left, as it is stored: `moved` has the states', and after them the parameter's.
template <class Variant, class At, class Rounding, std::size_t... kState>
ONEPASS_LANE void store_block(const float (*moved)[kBlock], const At run, std::int64_t i,
                              const Rounding rounding, std::index_sequence<kState...> /*states*/) {
  using Format = typename At::Format;
  constexpr std::size_t kParamHalf = std::max(rule::kBlockHalves<Format, Variant>, 1) - 1;
  ParamBlock<typename Format::Param, At::kOrder>::encode(
      moved[sizeof...(kState)], run.param + i, run.remainder_from(i), rounding.of(i, kParamHalf), run.writes);
  (...,
   narrow<typename Format::State, At::kOrder>(moved[kState], run.states[kState] + i, rounding.of(i, kState)));
}

/// Whole blocks. The coefficients and pointers are local copies, so that no store can change them; buffers
/// are known not to overlap (checked when they are registered), which ivdep passes on. A function of its own,
/// so that what the compiler made of it can be found; and one, not another for the block that is cut short.
template <class Variant, bool kPlain, class At, class Rounding, class Rule, std::size_t... kState>
__attribute__((noinline, noclone)) void sweep_blocks(const rule::TensorCoefficients<Rule> k, const At run,
                                                     std::int64_t count, const Rounding rounding,
                                                     std::index_sequence<kState...> states) {
  using Format = typename At::Format;
  using State = typename Format::State;
  constexpr std::int64_t kWait = kWaiting<At, sizeof...(kState)> * kBlock;
  constexpr std::size_t kRing = std::bit_ceil(std::size_t{kWaiting<At, sizeof...(kState)>} + 1);
  alignas(64) float waiting[kRing][sizeof...(kState) + 1][kBlock];
  const auto beside = [&](std::int64_t i) { return waiting[static_cast<std::size_t>(i / kBlock) % kRing]; };
  for (std::int64_t i = 0; i < count; i += kBlock) {
    auto* const moved = beside(i);
    move_block<Variant, kPlain>(k, run, i, states, moved[sizeof...(kState)],
                                moved_to<State>(moved[kState], run.states[kState] + i)...);
    if (i >= kWait) store_block<Variant>(beside(i - kWait), run, i - kWait, rounding, states);
  }
  for (std::int64_t i = std::max(count - kWait, std::int64_t{0}); i < count; i += kBlock) {
    store_block<Variant>(beside(i), run, i, rounding, states);
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
  constexpr int kHalves = rule::kBlockHalves<typename Streams::Format, Variant>;
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
