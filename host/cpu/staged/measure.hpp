// measure.hpp - the sums over tensors, or over the model, that a rule takes before its update: for each
// stage, a codec decodes the streams, the rule computes the terms, and leaves of terms are added exactly. It
// writes no stream. Compiled once for each instruction set, and not for a rule.
#pragma once

#include <algorithm>
#include <cstdint>

#include "host/backend/cpu_rule.hpp"
#include "host/cpu/codecs/scaled_block_codec.hpp"
#include "host/cpu/exact_leaf.hpp"
#include "host/cpu/staged/update.hpp"
#include "step/lookup.hpp"
#include "step/reduction.hpp"
#include "step/table.hpp"

// Internal linkage: loops/update.hpp says why.
namespace onepass::cpu {
namespace {

/// The terms of consecutive chunks that add to the same sums: a leaf of each sum, and what was added of the
/// leaves before it.
class ChunkSums {
 public:
  ChunkSums(int sums, bool magnitudes) : count_(sums), magnitudes_(magnitudes) { empty(); }

  /// Returns where the next terms of the first sum go. Those of sum t go kLeaf * t numbers further on.
  [[nodiscard]] float* next() { return terms_ + filled_; }
  /// Returns how many more terms the leaf takes.
  [[nodiscard]] std::int64_t left() const { return kLeaf - filled_; }
  /// Says that `some` terms were written to next().
  void advance(std::int64_t some) {
    filled_ += some;
    if (filled_ == kLeaf) add();
  }
  /// Takes the terms of the elements [first, last) of a block, those of sum t storage::kBlock numbers further
  /// on for each t. in_pairs: as in StageCodec.
  void take(const float* terms, int first, int last, bool in_pairs) {
    for (int sum = 0; sum < count_; ++sum) {
      float* to = next() + sum * kLeaf;
      for (int i = first; i < last; ++i) *to++ = terms[sum * storage::kBlock + (in_pairs ? place_of(i) : i)];
    }
    advance(last - first);
  }
  /// Lets the next terms be those of a whole block, which a leaf that ends in a part of one has no room for.
  void begin_chunk() {
    if (filled_ % storage::kBlock != 0) add();
  }
  /// Adds all terms to the sums over a tensor or the model, and forgets them.
  void add_to(step::TensorSums& whole) {
    if (filled_ != 0) add();
    for (int sum = 0; sum < count_; ++sum) step::merge<SharedWords>(whole.of_terms[sum], sums_[sum]);
    empty();
  }

 private:
  void empty() { std::fill_n(sums_, count_, step::Reduction::none()); }
  void add() {
    for (int sum = 0; sum < count_; ++sum) {
      float* const leaf = terms_ + sum * kLeaf;
      std::fill(leaf + filled_, leaf + kLeaf, 0.0f);
      magnitudes_ ? add<Measure::exact_magnitudes>(leaf, sums_[sum])
                  : add<Measure::exact_squares>(leaf, sums_[sum]);
    }
    filled_ = 0;
  }
  template <Measure kMeasure>
  static void add(const float* leaf, step::Reduction& sum) {
    step::add_leaf<kMeasure, OwnWords>(sum, add_exact_leaf<kMeasure>(leaf, sum.sum));
  }

  int count_;
  bool magnitudes_;
  std::int64_t filled_ = 0;
  step::Reduction sums_[step::kMaxSums];
  alignas(64) float terms_[step::kMaxSums * kLeaf];
};

/// The rule's part of a chunk: its loop, and the coefficients that it takes.
struct Measurer {
  TermLoop loop;
  const void* coefficients;
};

/// Returns the streams that a pass reads: coupled decay and L1 need the parameter, whether its terms do or
/// not.
inline unsigned read_by(unsigned terms, const rule::Around& around) {
  return around.l2 != 0.0f || around.l1 != 0.0f ? terms | rule::kParam : terms;
}

/// Computes the terms of one block of which the tensor has `count` elements, from a copy.
template <class Sums>
__attribute__((noinline)) void measure_cut_block(const StageCodec& codec, const Measurer& measurer,
                                                 const StagedStreams& original, std::int64_t count,
                                                 float* room, Sums& sums) {
  CutBlock block(original, count, codec.bytes);
  const StagedStreams copy = block.streams();
  const Moved read(codec, copy, room);
  read.decode(codec, copy, 0, copy.lead + count, room);
  alignas(64) float terms[step::kMaxSums * storage::kBlock];
  measurer.loop(measurer.coefficients, read.param, read.grad, read.states, storage::kBlock, terms,
                storage::kBlock);
  sums.take(terms, copy.lead, copy.lead + static_cast<int>(count), codec.in_pairs);
}

/// Computes the terms of a chunk. As update_stages(), it works from the start of a block on, unless
/// chunk.lead says else, and only the last block may be cut short. `sums` takes the terms, as ChunkSums does.
template <class Sums>
void measure_stages(const StageCodec& codec, const Measurer& measurer, const StagedStreams& chunk,
                    std::int64_t count, Sums& sums) {
  alignas(64) float room[kBuffers * buffers_apart(kStage8)];
  const std::int64_t whole = count / storage::kBlock * storage::kBlock;
  Moved read(codec, chunk, room);
  for (std::int64_t i = 0, some = 0; i < whole; i += some) {
    some = std::min({whole - i, codec.stage, sums.left(), chunk.lines.count != 0 ? kStage8 : kWhole});
    if (chunk.fetches_ahead) fetch_stage_ahead(codec, chunk, i, some);
    read.decode(codec, chunk, i, some, room);
    measurer.loop(measurer.coefficients, read.param, read.grad, read.states, some, sums.next(), kLeaf);
    sums.advance(some);
    read.advance(codec, chunk.state_count, some);
  }
  if (whole < count) {
    measure_cut_block(codec, measurer, chunk.from(whole, codec.bytes), count - whole, room, sums);
  }
}

/// Adds the chunks [first, last) of the table, all of which have the format of `choose`.
void measure_staged_chunks(const step::Table& table, const StagedLoops& rule, ChooseCodec choose,
                           std::int64_t first, std::int64_t last, Stores stores) {
  ChunkSums sums(rule.sums, rule.magnitudes);
  step::TensorSums* whole = nullptr;
  for (std::int64_t c = first; c < last; ++c) {
    const step::Chunk& chunk = table.chunks[c];
    const SharedCoefficients& k = shared_coefficients(table, chunk.tensor);
    if (!k.step.active || !k.step.takes_sums) continue;
    const step::TensorEntry& tensor = table.tensors[chunk.tensor];
    const StageCodec codec = codec_of(tensor, rule, choose, k, stores);
    const bool exact = codec.states_in_place == kAllStates;
    const Measurer measurer{exact ? rule.exact_terms : rule.lossy_terms, &k};
    step::TensorSums& its = step::sums_of(table, chunk.tensor, rule.over_model);
    if (whole != nullptr && whole != &its) sums.add_to(*whole);
    whole = &its;
    sums.begin_chunk();
    auto streams = StagedStreams::of(tensor, table.grads[chunk.tensor], chunk, codec.bytes, rule, stores);
    streams.lines = LineNumbers::of(table, chunk, rule);
    streams.reads = read_by(rule.measured, k.around);
    measure_stages(codec, measurer, streams, chunk.count, sums);
  }
  if (whole != nullptr) sums.add_to(*whole);
}

}  // namespace
}  // namespace onepass::cpu
