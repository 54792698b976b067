// reduce.hpp - the CPU's reductions over gradients or parameters. Compiled once for each instruction set.
// Adds in the same order as kernels/reduce.cu.
#pragma once

#include <cfloat>
#include <cstdint>
#include <type_traits>

#include "host/cpu/codecs/stores.hpp"
#include "host/cpu/exact_leaf.hpp"
#include "host/cpu/loops/table_loops.hpp"
#include "step/by_dtype.hpp"
#include "step/decide_step.hpp"
#include "step/lookup.hpp"
#include "step/reduction.hpp"
#include "step/table.hpp"

// Internal linkage: loops/update.hpp says why.
namespace onepass::cpu {
namespace {

using step::kReduceChunk;
using step::Reduction;
using step::Table;
using step::Term;

constexpr int kWarp = 32;
constexpr int kSlotsOfLane = kSlots / kWarp;
/// Folds the slots of a leaf in the order of a warp: the four slots of each lane, then the lanes in halves.
template <Measure kMeasure>
double fold(const double* slots) {
  double sums[kWarp];
  for (int lane = 0; lane < kWarp; ++lane) {
    const double* slot = slots + kSlotsOfLane * lane;
    sums[lane] =
        Term<kMeasure>::fold(Term<kMeasure>::fold(slot[0], slot[1]), Term<kMeasure>::fold(slot[2], slot[3]));
  }
  for (int width = kWarp / 2; width > 0; width /= 2) {
    for (int lane = 0; lane < width; ++lane) {
      sums[lane] = Term<kMeasure>::fold(sums[lane], sums[lane + width]);
    }
  }
  return sums[0];
}

/// Reduces kLeaf elements. Works slot by slot, so that each sum stays in a register while its elements are
/// added. Row by row, all slots would pass through memory eight times.
template <class Codec, Measure kMeasure>
double reduce_whole_leaf(const Term<kMeasure> term, const typename Codec::Element* from) {
  double slots[kSlots];
  for (int slot = 0; slot < kSlots; ++slot) {
    double sum = 0.0;
    for (int row = 0; row < kRows; ++row) {
      sum = term.join(sum, Codec::decode(from[row * kSlots + slot]));
    }
    slots[slot] = sum;
  }
  return fold<kMeasure>(slots);
}

/// Reduces a leaf of up to kLeaf elements.
template <class Codec, Measure kMeasure>
double reduce_leaf(const Term<kMeasure> term, const typename Codec::Element* from, std::int64_t count) {
  if (count == kLeaf) return reduce_whole_leaf<Codec>(term, from);
  double slots[kSlots] = {};
  std::int64_t i = 0;
  for (; i + kSlots <= count; i += kSlots) {
    for (int slot = 0; slot < kSlots; ++slot)
      slots[slot] = term.join(slots[slot], Codec::decode(from[i + slot]));
  }
  for (int slot = 0; i + slot < count; ++slot) {
    slots[slot] = term.join(slots[slot], Codec::decode(from[i + slot]));
  }
  return fold<kMeasure>(slots);
}

/// Returns the index of the first element that is not finite, or `count` if all are finite.
template <class Codec>
std::int64_t first_nonfinite(const typename Codec::Element* from, std::int64_t count) {
  std::int64_t i = 0;
  while (i < count && lane::abs(Codec::decode(from[i])) <= FLT_MAX) ++i;
  return i;
}

/// Decodes a leaf into `room`, with zeros behind its end. A whole leaf of float32 stays where it is.
template <class Codec>
const float* decoded(const typename Codec::Element* from, std::int64_t count, float* room) {
  if constexpr (std::is_same_v<Codec, storage::Float32>) {
    if (count == kLeaf) return from;
  }
  for (std::int64_t i = 0; i < count; ++i) room[i] = Codec::decode(from[i]);
  for (std::int64_t i = count; i < kLeaf; ++i) room[i] = 0.0f;
  return room;
}

/// Adds a leaf. Returns its sum, or 0 or what is not finite if it was added exactly.
template <class Codec, Measure kMeasure>
double add_leaf_of(const Term<kMeasure> term, const typename Codec::Element* from, std::int64_t count,
                   Reduction& into) {
  double sum;
  if constexpr (step::is_exact(kMeasure)) {
    float room[kLeaf];
    // A leaf is read twice here, so that the processor would wait for memory between leaves.
    fetch_ahead<kLeaf>(from, kLeaf * static_cast<std::int64_t>(sizeof *from));
    sum = add_exact_leaf<kMeasure>(decoded<Codec>(from, count, room), into.sum);
  } else {
    sum = reduce_leaf<Codec>(term, from, count);
  }
  step::add_leaf<kMeasure, OwnWords>(into, sum);
  return sum;
}

template <class Codec, Measure kMeasure>
void reduce_as(const Table& table, const void* stream, std::int64_t piece, Reduction& into) {
  const step::Piece chunk = table.pieces[piece];
  const step::Extent part = step::extent_of(table, chunk, kReduceChunk);
  Term<kMeasure> term{};
  if constexpr (kMeasure == Measure::penalty)
    term.penalty = table.penalties[table.tensors[chunk.tensor].group];
  const auto* const from = static_cast<const typename Codec::Element*>(stream) + part.begin;
  for (std::int64_t begin = 0; begin < part.count; begin += kLeaf) {
    const std::int64_t count = part.count - begin < kLeaf ? part.count - begin : kLeaf;
    if (step::is_finite_leaf(add_leaf_of<Codec>(term, from + begin, count, into))) continue;
    const std::int64_t found = first_nonfinite<Codec>(from + begin, count);
    const auto place = static_cast<std::uint64_t>(piece * kReduceChunk + begin + found);
    if (found < count && place < into.first_nonfinite) into.first_nonfinite = place;
  }
}

/// The results that a reduction adds to: one for all tensors, or one for each group; or one for all tensors
/// and one for each, which lies in the table. That of a tensor is added there when the next tensor begins.
class Results {
 public:
  Results(const Table& table, MeasureOf of, Reduction* first) : table_(table), of_(of), first_(first) {}

  [[nodiscard]] Reduction& of(std::uint32_t tensor) {
    if (of_ != MeasureOf::tensors) {
      return first_[of_ == MeasureOf::groups ? table_.tensors[tensor].group : 0];
    }
    if (tensor != tensor_) {
      finish();
      tensor_ = tensor;
    }
    return own_;
  }
  /// Adds what belongs to the last tensor.
  void finish() {
    if (of_ != MeasureOf::tensors) return;
    step::merge_measure<SharedWords>(table_.tensor_gradients[tensor_], own_);
    step::add(*first_, own_);
    own_ = Reduction::none();
  }

 private:
  const Table& table_;
  MeasureOf of_;
  Reduction* first_;
  std::uint32_t tensor_ = 0;
  Reduction own_ = Reduction::none();
};

template <Measure kMeasure>
void reduce_piece(const Table& table, std::int64_t piece, Results& into) {
  const std::uint32_t index = table.pieces[piece].tensor;
  const step::TensorEntry& tensor = table.tensors[index];
  constexpr bool kOfParameters = kMeasure == Measure::penalty;
  const void* const stream = kOfParameters ? tensor.param : step::measured_gradient(table, index);
  if (stream == nullptr) return;
  step::by_dtype(kOfParameters ? tensor.param_type : step::measured_type(table, tensor), [&](auto codec) {
    reduce_as<decltype(codec), kMeasure>(table, stream, piece, into.of(index));
  });
}

/// Number of pieces that are read in ascending order: 1 MiB of float32. To read the pieces one by one in
/// descending order would cost as much time as the cache saves.
constexpr std::int64_t kAscendingPieces = 64;

/// Reduces pieces [first, last). The last kAscendingPieces come first, so that the elements that the update
/// begins with are read last and are still in the cache.
template <Measure kMeasure>
void reduce_pieces(const Table& table, std::int64_t first, std::int64_t last, Results& into) {
  for (std::int64_t end = last; end > first; end -= kAscendingPieces) {
    const std::int64_t begin = end - kAscendingPieces > first ? end - kAscendingPieces : first;
    for (std::int64_t piece = begin; piece < end; ++piece) reduce_piece<kMeasure>(table, piece, into);
  }
}

void reduce_to(const Table& table, Measure measure, std::int64_t first, std::int64_t last, Results& into) {
  switch (measure) {
    case Measure::sum_of_magnitudes:
      return reduce_pieces<Measure::sum_of_magnitudes>(table, first, last, into);
    case Measure::sum_of_squares:
      return reduce_pieces<Measure::sum_of_squares>(table, first, last, into);
    case Measure::largest:
      return reduce_pieces<Measure::largest>(table, first, last, into);
    case Measure::exact_magnitudes:
      return reduce_pieces<Measure::exact_magnitudes>(table, first, last, into);
    case Measure::exact_squares:
      return reduce_pieces<Measure::exact_squares>(table, first, last, into);
    case Measure::penalty:
      return reduce_pieces<Measure::penalty>(table, first, last, into);
  }
}

/// TableLoops::reduce.
void reduce(const Table& table, Measure measure, MeasureOf of, std::int64_t first, std::int64_t last,
            Reduction* results) {
  Results into(table, of, results);
  reduce_to(table, measure, first, last, into);
  into.finish();
}

}  // namespace
}  // namespace onepass::cpu
