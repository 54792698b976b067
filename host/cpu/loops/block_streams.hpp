// block_streams.hpp - where the streams of consecutive blocks of 16-bit parameters lie, and a copy of a block
// of which a chunk has a part. Compiled once for each instruction set.
#pragma once

#include <cstddef>
#include <cstdint>
#include <cstring>
#include <type_traits>

#include "host/cpu/codecs/block_codec.hpp"
#include "host/cpu/codecs/param_codec.hpp"
#include "host/cpu/codecs/stores.hpp"

// Internal linkage: loops/update.hpp says why.
namespace onepass::cpu {
namespace {

/// The streams of consecutive blocks, each from the first block on. Streams is a ChunkStreams.
template <class Streams, std::size_t kStates>
struct BlockStreams {
  using Format = typename Streams::Format;
  using GradCodec = typename Streams::GradCodec;
  using Param = typename Format::Param::Element;
  using Remainder = typename Format::Param::Remainder;
  using Grad = typename GradCodec::Element;
  using State = typename Format::State::Element;
  /// The rule takes a parameter with its gradient and its states, so all of them must be in the same order:
  /// all streams in pairs, or all in natural order.
  static constexpr bool kPairs = kHasPairs<typename Format::Param> && kHasPairs<GradCodec> &&
                                 (kStates == 0 || kHasPairs<typename Format::State>);
  static constexpr Order kOrder = kPairs ? Order::pairs : Order::natural;
  static constexpr bool kHasMaster = std::is_same_v<Remainder, float>;

  Param* param;
  Remainder* remainder;
  const Grad* grad;
  State* states[kStates + 1];
  Writes writes;  ///< How the parameter is stored where the loop does not read it.
  /// Bytes by which the loop asks ahead: 0 where the streams lie in the cache. There it asks for what it is
  /// about to read, because a question in each block costs more than that.
  std::int64_t bytes_ahead;

  static BlockStreams of(const Streams& chunk) {
    BlockStreams blocks{chunk.param,
                        chunk.remainder,
                        chunk.grad,
                        {},
                        writes_to(chunk.param, chunk.stores.unread),
                        chunk.stores.fetches_ahead ? kBytesAhead : 0};
    for (std::size_t state = 0; state < kStates; ++state) {
      blocks.states[state] = static_cast<State*>(chunk.states[state]) + chunk.begin;
    }
    return blocks;
  }
  /// The remainder from element i on; null if the format has no remainder.
  [[nodiscard]] ONEPASS_LANE Remainder* remainder_from(std::int64_t i) const {
    return Format::kHasRemainder ? remainder + i : nullptr;
  }
  /// The same streams from element i on.
  [[nodiscard]] BlockStreams from(std::int64_t i) const {
    BlockStreams rest{param + i, remainder_from(i), grad + i, {}, writes, bytes_ahead};
    for (std::size_t state = 0; state < kStates; ++state) rest.states[state] = states[state] + i;
    return rest;
  }
  /// Asks for the streams that the loop reads, ahead of the block at element i (fetch_ahead()).
  ONEPASS_LANE void fetch_block_ahead(std::int64_t i) const {
    if constexpr (Format::kHasRemainder) fetch_ahead<kBlock>(remainder + i, bytes_ahead);
    if constexpr (!kHasMaster) fetch_ahead<kBlock>(param + i, bytes_ahead);
    fetch_ahead<kBlock>(grad + i, bytes_ahead);
#pragma GCC unroll 4
    for (std::size_t state = 0; state < kStates; ++state) fetch_ahead<kBlock>(states[state] + i, bytes_ahead);
  }
};

/// A whole block in place of one that is cut: a copy, padded with zeros, in which element `lead` of the block
/// is the first that there is. The caller updates the copy and then calls copy_back().
template <class Streams, std::size_t kStates>
class PaddedBlock {
 public:
  using Blocks = BlockStreams<Streams, kStates>;

  PaddedBlock(const Blocks& original, std::int64_t count, int lead)
      : original_(original), count_(static_cast<std::size_t>(count)), lead_(lead) {
    copy(param_ + lead, original.param);
    copy(grad_ + lead, original.grad);
    if constexpr (Blocks::Format::kHasRemainder) copy(remainder_ + lead, original.remainder);
    for (std::size_t state = 0; state < kStates; ++state) {
      copy(states_[state] + lead, original.states[state]);
    }
  }
  [[nodiscard]] Blocks streams() {
    Blocks padded{param_, remainder_, grad_, {}, Writes::through_cache, 0};
    for (std::size_t state = 0; state < kStates; ++state) padded.states[state] = states_[state];
    return padded;
  }
  void copy_back() {
    copy(original_.param, param_ + lead_);
    if constexpr (Blocks::Format::kHasRemainder) copy(original_.remainder, remainder_ + lead_);
    for (std::size_t state = 0; state < kStates; ++state) {
      copy(original_.states[state], states_[state] + lead_);
    }
  }

 private:
  template <class Element>
  void copy(Element* to, const Element* from) const {
    std::memcpy(to, from, count_ * sizeof(Element));
  }

  Blocks original_;
  std::size_t count_;
  int lead_;
  typename Blocks::Param param_[kBlock] = {};
  typename Blocks::Remainder remainder_[kBlock] = {};
  typename Blocks::Grad grad_[kBlock] = {};
  typename Blocks::State states_[kStates + 1][kBlock] = {};
};

}  // namespace
}  // namespace onepass::cpu
