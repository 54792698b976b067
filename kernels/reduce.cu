// reduce.cu - reads all gradients or parameters once and reduces them to norms, finiteness or the penalty.
#include "kernels/reduce.hpp"

#include <algorithm>
#include <cstdint>

#include "kernels/exact_warp.cuh"
#include "kernels/lanes.cuh"
#include "kernels/launch.cuh"
#include "step/by_dtype.hpp"
#include "step/decide_step.hpp"
#include "step/lookup.hpp"

namespace onepass::kernels {

namespace {

constexpr int kThreads = 256;
constexpr int kWarps = kThreads / kWarp;
constexpr int kGroupsAtOnce = 8;  // whose results lie in shared memory
static_assert(kSlots == kWarp * kLanes);

/// A leaf of one tensor: `count` elements at `from`. The first one is element `index` of its piece.
template <class Codec>
struct Leaf {
  const typename Codec::Element* from;
  std::int64_t count;
  std::uint64_t index;

  __device__ __forceinline__ void read(float (&values)[kLanes], std::int64_t i, Access access) const {
    const std::int64_t left = count - i;
    load<Codec>(values, from + i, left < 0 ? 0 : left < kLanes ? static_cast<int>(left) : kLanes, access);
  }
};

/// Reduces a leaf with one warp. Every lane gets the result.
template <class Codec, Measure kMeasure>
__device__ double reduce_leaf(const Term<kMeasure>& term, const Leaf<Codec>& leaf, int lane) {
  const Access access = widest(leaf.from);
  double slots[kLanes] = {};
#pragma unroll
  for (int i = 0; i < kLeaf; i += kSlots) {
    float values[kLanes];
    leaf.read(values, i + kLanes * lane, access);
#pragma unroll
    for (int slot = 0; slot < kLanes; ++slot) slots[slot] = term.join(slots[slot], values[slot]);
  }
  double sum = term.fold(term.fold(slots[0], slots[1]), term.fold(slots[2], slots[3]));
#pragma unroll
  for (int width = kWarp / 2; width > 0; width /= 2) {
    sum = term.fold(sum, __shfl_xor_sync(kAllLanes, sum, width));
  }
  return sum;
}

/// Adds a leaf of any number of bins, bin by bin from the lowest. Reads it anew for each, and repeats for
/// each element what the bins above have taken of it. Such leaves are rare.
template <Measure kMeasure, class Codec>
__device__ __forceinline__ void add_many_bins(const Leaf<Codec>& leaf, const Bins& bins, int lane,
                                              ExactSum& into) {
  std::int64_t carry = 0;
  for (int b = 0; b < bins.count; ++b) {
    std::int64_t count = 0;
    for (std::int64_t i = lane; i < leaf.count; i += kWarp) {
      double rest = exact_term<kMeasure>(Codec::decode(leaf.from[i]));
      for (int above = bins.count - 1; above >= b; --above) {
        double slot = bins.anchor(above);
        rest = fill(slot, rest);
        if (above == b) count += units(slot, bins.anchor(b));
      }
    }
    count = sum_of_lanes(count);
    if (lane == 0) add_bin<AtomicWords>(into, bins, b, count, carry);
  }
}

/// The elements of a leaf that one lane reads.
using LaneOfLeaf = float[kLeaf / kSlots][kLanes];

/// Adds a leaf with one warp and rounds nothing. Returns 0 to every lane, or infinity or NaN if an element
/// is.
template <Measure kMeasure, class Codec>
__device__ double add_exact_leaf(const Leaf<Codec>& leaf, int lane, ExactSum& into) {
  const Access access = widest(leaf.from);
  LaneOfLeaf values;
  LeafBits own;
#pragma unroll
  for (int row = 0; row < kLeaf / kSlots; ++row) {
    leaf.read(values[row], row * kSlots + kLanes * lane, access);
#pragma unroll
    for (int slot = 0; slot < kLanes; ++slot) own.include(values[row][slot]);
  }
  const LeafBits bits = bits_of_lanes(own);
  if (!bits.is_finite()) return bits.special();
  if (bits.is_zero()) return 0.0;
  const Bins bins = bins_of<kMeasure>(bits);
  if (bins.count <= 2) {
    add_few_bins<kMeasure>(values, bins, lane, into);
  } else {
    add_many_bins<kMeasure>(leaf, bins, lane, into);
  }
  return 0.0;
}

/// Records the first element of the leaf that is not finite. Reads the leaf a second time, which is rare.
template <class Codec>
__device__ void find_nonfinite(const Leaf<Codec>& leaf, std::uint64_t piece, int lane, Reduction& into) {
  for (std::int64_t i = lane; i < leaf.count; i += kWarp) {
    if (lane::abs(Codec::decode(leaf.from[i])) <= __FLT_MAX__) continue;
    atomicMin(counter(&into.first_nonfinite), piece * kReduceChunk + leaf.index + static_cast<Counter>(i));
    return;
  }
}

/// A leaf to reduce, and the lane of the calling thread.
struct Work {
  LeafPlace leaf;
  int lane;
};

template <class Codec, Measure kMeasure>
__device__ void reduce_as(const Table& table, void* stream, const Work& work, Reduction& into) {
  const Piece chunk = table.pieces[work.leaf.piece];
  const Extent part = extent_of(table, chunk, kReduceChunk);
  const std::int64_t left = part.count - work.leaf.begin;
  if (left <= 0) return;
  const Leaf<Codec> leaf{global<typename Codec::Element>(stream) + part.begin + work.leaf.begin,
                         left < kLeaf ? left : kLeaf, static_cast<std::uint64_t>(work.leaf.begin)};
  Term<kMeasure> term{};
  if constexpr (kMeasure == Measure::penalty)
    term.penalty = table.penalties[table.tensors[chunk.tensor].group];
  double sum;
  if constexpr (is_exact(kMeasure)) {
    sum = add_exact_leaf<kMeasure>(leaf, work.lane, into.sum);
  } else {
    sum = reduce_leaf<Codec>(term, leaf, work.lane);
  }
  if (work.lane == 0) add_leaf<kMeasure, AtomicWords>(into, sum);
  if (!is_finite_leaf(sum))
    find_nonfinite(leaf, static_cast<std::uint64_t>(work.leaf.piece), work.lane, into);
}

template <Measure kMeasure>
__device__ void reduce_one(const Table& table, const Work& work, Reduction& into) {
  const std::uint32_t index = table.pieces[work.leaf.piece].tensor;
  const TensorEntry& tensor = table.tensors[index];
  constexpr bool kOfParameters = kMeasure == Measure::penalty;
  void* const stream = kOfParameters ? tensor.param : measured_gradient(table, index);
  if (stream == nullptr) return;
  by_dtype(kOfParameters ? tensor.param_type : measured_type(table, tensor),
           [&](auto codec) { reduce_as<decltype(codec), kMeasure>(table, stream, work, into); });
}

/// Values of Results::first_group that are no group.
constexpr std::int64_t kTogether = -1, kByTensor = -2;

/// The results of one pass over the leaves: one for all of them, one for each of kGroupsAtOnce groups from
/// `first_group` on, or if that is kByTensor one of the present tensor for each warp, and one for all.
struct Results {
  Reduction* results;
  std::int64_t first_group;
  std::uint32_t tensor = 0;  ///< Of the warp that calls.

  /// Returns where the leaves of a piece go, or null if this pass leaves them out.
  __device__ Reduction* of(const Table& table, std::int64_t piece, int lane) {
    if (first_group == kTogether) return results;
    const std::uint32_t index = table.pieces[piece].tensor;
    if (first_group == kByTensor) {
      if (index != tensor) finish(table, lane);
      tensor = index;
      return &of_warp();
    }
    const std::int64_t group = table.tensors[index].group - first_group;
    return group >= 0 && group < kGroupsAtOnce ? results + group : nullptr;
  }

  /// Adds what the warp has of its present tensor to that of the tensor, and to that of all.
  __device__ void finish(const Table& table, int lane) const {
    if (first_group != kByTensor) return;
    Reduction& own = of_warp();
    __syncwarp();
    merge(table.tensor_gradients[tensor], own, lane);
    merge(results[kWarps], own, lane);
    __syncwarp();
    if (lane == 0) own = Reduction::none();
    __syncwarp();
  }

 private:
  [[nodiscard]] __device__ Reduction& of_warp() const { return results[threadIdx.x / kWarp]; }
};

/// The turns of a warp.
struct Turns {
  std::int64_t first, last, stride;

  /// The warps of all thread blocks stride over the turns, or each takes neighbouring ones.
  static __device__ __forceinline__ Turns of(const Table& table, bool neighbouring) {
    const std::int64_t warp = static_cast<std::int64_t>(blockIdx.x) * kWarps + threadIdx.x / kWarp;
    const std::int64_t warps = static_cast<std::int64_t>(gridDim.x) * kWarps;
    const std::int64_t turns = table.piece_count * kLeavesOfPiece;
    if (!neighbouring) return {warp, turns, warps};
    const std::int64_t each = (turns + warps - 1) / warps;
    const std::int64_t end = (warp + 1) * each;
    return {warp * each, end < turns ? end : turns, 1};
  }
};

/// Reduces all leaves in the order of leaf_at(). If each tensor has a result, warps take neighbouring leaves,
/// so that few of them have leaves of one tensor, and few tensors.
template <Measure kMeasure>
__device__ __forceinline__ void reduce_all(const Table& table, Results into) {
  const int lane = static_cast<int>(threadIdx.x) % kWarp;
  const Turns turns = Turns::of(table, into.first_group == kByTensor);
  for (std::int64_t turn = turns.first; turn < turns.last; turn += turns.stride) {
    const LeafPlace leaf = leaf_at(turn, table.piece_count);
    Reduction* const result = into.of(table, leaf.piece, lane);
    if (result != nullptr) reduce_one<kMeasure>(table, {leaf, lane}, *result);
  }
  into.finish(table, lane);
}

template <bool kExact>
__device__ __forceinline__ void reduce_gradients_of(const Table& table, const Results& into) {
  const Measure measure = table.control->settings.norm;
  if (measure == Measure::largest) {
    reduce_all<Measure::largest>(table, into);
  } else if (is_of_squares(measure)) {
    reduce_all<kExact ? Measure::exact_squares : Measure::sum_of_squares>(table, into);
  } else {
    reduce_all<kExact ? Measure::exact_magnitudes : Measure::sum_of_magnitudes>(table, into);
  }
}

/// Thread blocks of kThreads threads; any grid size works. The kernel reads from the table what to measure,
/// so that a captured graph follows changed settings. Clipping by group takes one pass over the leaves for
/// every kGroupsAtOnce groups. Each pass reads the gradients of its groups alone. Clipping by parameter takes
/// one pass. The bound of 4 thread
/// blocks keeps ptxas from aiming at five and spilling registers for sm_80. Leaves that are added exactly lie
/// in registers as a whole, so their kernel is another one, and has room for twice as many.
template <bool kExact>
__global__ void __launch_bounds__(kThreads, kExact ? 2 : 4) reduce_gradients_kernel(const Table table) {
  const Settings& settings = table.control->settings;
  if (settings.measures_gradients == 0) return;
  __shared__ Reduction block[kGroupsAtOnce + 1];
  static_assert(kWarps <= kGroupsAtOnce);
  const bool by_group = settings.clips_by_group != 0, by_tensor = settings.clips_by_parameter != 0;
  const std::int64_t groups = by_group ? table.group_count : 1;
  for (std::int64_t first = 0; first < groups; first += kGroupsAtOnce) {
    const int count = by_tensor                        ? kWarps + 1
                      : groups - first < kGroupsAtOnce ? static_cast<int>(groups - first)
                                                       : kGroupsAtOnce;
    __syncthreads();  // the pass before has merged
    for (int i = 0; i < count; ++i) clear(block[i]);
    reduce_gradients_of<kExact>(table, {block, by_tensor ? kByTensor : by_group ? first : kTogether});
    for (int i = by_tensor ? kWarps : 0; i < count; ++i) {
      merge(table.control->gradients, block[i]);
      if (by_group) merge(table.group_gradients[first + i], block[i]);
    }
  }
}

/// Thread blocks of kThreads threads; any grid size works.
__global__ void __launch_bounds__(kThreads) find_nonfinite_kernel(const Table table) {
  __shared__ Reduction block;
  clear(block);
  reduce_all<Measure::largest>(table, {&block, kTogether});
  merge(table.control->gradients, block);
}

/// Thread blocks of kThreads threads; any grid size works.
__global__ void __launch_bounds__(kThreads, 2) reduce_penalty_kernel(const Table table) {
  __shared__ Reduction block;
  clear(block);
  reduce_all<Measure::penalty>(table, {&block, kTogether});
  merge(table.control->penalty, block);
}

}  // namespace

ReduceBlocks reduce_blocks() {
  return {.usual = std::min({resident_blocks(reduce_gradients_kernel<false>, kThreads),
                             resident_blocks(find_nonfinite_kernel, kThreads),
                             resident_blocks(reduce_penalty_kernel, kThreads)}),
          .exact = resident_blocks(reduce_gradients_kernel<true>, kThreads)};
}

void reduce_gradients(const Table& table, Measure norm, const ReduceBlocks& resident, Stream stream) {
  const bool exact = is_exact(norm);
  const int blocks = exact ? resident.exact : resident.usual;
  launch(exact ? reduce_gradients_kernel<true> : reduce_gradients_kernel<false>,
         {blocks_for(table.piece_count, blocks), kThreads, stream.handle()}, table);
}

void find_nonfinite(const Table& table, const ReduceBlocks& resident, Stream stream) {
  launch(find_nonfinite_kernel, {blocks_for(table.piece_count, resident.usual), kThreads, stream.handle()},
         with_incoming_measured(table));
}

void reduce_penalty(const Table& table, const ReduceBlocks& resident, Stream stream) {
  launch(reduce_penalty_kernel, {blocks_for(table.piece_count, resident.usual), kThreads, stream.handle()},
         table);
}

}  // namespace onepass::kernels
