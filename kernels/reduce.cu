// reduce.cu - reads all gradients or parameters once and reduces them to norms, finiteness or the penalty.
#include "kernels/reduce.hpp"

#include <algorithm>
#include <cstdint>

#include "kernels/lanes.cuh"
#include "kernels/launch.cuh"
#include "step/by_dtype.hpp"
#include "step/decide_step.hpp"
#include "step/lookup.hpp"

namespace onepass::kernels {

namespace {

constexpr int kThreads = 256;
constexpr int kWarp = 32;
constexpr int kGroupsAtOnce = 8;  // whose results lie in shared memory
constexpr unsigned kAllLanes = 0xffffffffu;
static_assert(kSlots == kWarp * kLanes);

using Counter = unsigned long long;  // the 64-bit type of CUDA's atomics

__device__ __forceinline__ Counter* counter(std::uint64_t* word) { return reinterpret_cast<Counter*>(word); }

/// Atomic operations for add_leaf(). They are operations on integers, so the order of the warps does not
/// matter.
struct AtomicWords {
  static __device__ __forceinline__ void set(std::uint64_t& word) { atomicOr(counter(&word), Counter{1}); }
  static __device__ __forceinline__ void raise(std::uint64_t& word, std::uint64_t x) {
    atomicMax(counter(&word), Counter{x});
  }
  static __device__ __forceinline__ void add(std::uint64_t& word, std::uint64_t x) {
    atomicAdd(counter(&word), Counter{x});
  }
};

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

/// Records the first element of the leaf that is not finite. Reads the leaf a second time, which is rare.
template <class Codec>
__device__ void find_nonfinite(const Leaf<Codec>& leaf, std::uint64_t piece, int lane, Reduction& into) {
  for (std::int64_t i = lane; i < leaf.count; i += kWarp) {
    if (lane::abs(Codec::decode(leaf.from[i])) <= __FLT_MAX__) continue;
    atomicMin(counter(&into.first_nonfinite), piece * kReduceChunk + leaf.index + static_cast<Counter>(i));
    return;
  }
}

__device__ void clear(Reduction& reduction) {
  if (threadIdx.x == 0) reduction = Reduction::none();
  __syncthreads();
}

/// Adds the result of one thread block to the total.
__device__ void merge(Reduction& into, Reduction& part) {
  __syncthreads();
  const int thread = static_cast<int>(threadIdx.x);
  if (thread < ExactSum::kLimbs && part.sum.limbs[thread] != 0) {
    atomicAdd(counter(&into.sum.limbs[thread]), Counter{part.sum.limbs[thread]});
  }
  if (thread == kWarp) {
    if (part.nan != 0) atomicOr(counter(&into.nan), Counter{1});
    if (part.infinite != 0) atomicOr(counter(&into.infinite), Counter{1});
    if (part.largest != 0) atomicMax(counter(&into.largest), Counter{part.largest});
    if (part.first_nonfinite != kNowhere) {
      atomicMin(counter(&into.first_nonfinite), Counter{part.first_nonfinite});
    }
  }
}

/// A leaf to reduce, and the lane of the calling thread.
struct Work {
  LeafPlace leaf;
  int lane;
};

template <class Codec, Measure kMeasure>
__device__ void reduce_as(const Table& table, void* stream, const Work& work, Reduction& into) {
  const Chunk chunk = table.pieces[work.leaf.piece];
  const Extent part = extent_of(table, chunk, kReduceChunk);
  const std::int64_t left = part.count - work.leaf.begin;
  if (left <= 0) return;
  const Leaf<Codec> leaf{global<typename Codec::Element>(stream) + part.begin + work.leaf.begin,
                         left < kLeaf ? left : kLeaf, static_cast<std::uint64_t>(work.leaf.begin)};
  Term<kMeasure> term{};
  if constexpr (kMeasure == Measure::penalty)
    term.penalty = table.penalties[table.tensors[chunk.tensor].group];
  const double sum = reduce_leaf<Codec>(term, leaf, work.lane);
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

/// The results of one pass over the leaves: one for all of them, or one for each of kGroupsAtOnce groups from
/// `first_group` on.
struct Results {
  Reduction* results;
  std::int64_t first_group;  ///< Negative: one for all.

  /// Returns where the leaves of a piece go, or null if this pass leaves them out.
  __device__ Reduction* of(const Table& table, std::int64_t piece) const {
    if (first_group < 0) return results;
    const std::int64_t group = table.tensors[table.pieces[piece].tensor].group - first_group;
    return group >= 0 && group < kGroupsAtOnce ? results + group : nullptr;
  }
};

/// Reduces all leaves: the warps of all thread blocks stride over them in the order of leaf_at().
template <Measure kMeasure>
__device__ __forceinline__ void reduce_all(const Table& table, const Results& into) {
  constexpr int kWarps = kThreads / kWarp;
  const int lane = static_cast<int>(threadIdx.x) % kWarp;
  const std::int64_t first = static_cast<std::int64_t>(blockIdx.x) * kWarps + threadIdx.x / kWarp;
  const std::int64_t stride = static_cast<std::int64_t>(gridDim.x) * kWarps;
  for (std::int64_t turn = first; turn < table.piece_count * kLeavesOfPiece; turn += stride) {
    const LeafPlace leaf = leaf_at(turn, table.piece_count);
    Reduction* const result = into.of(table, leaf.piece);
    if (result != nullptr) reduce_one<kMeasure>(table, {leaf, lane}, *result);
  }
}

__device__ __forceinline__ void reduce_gradients_of(const Table& table, const Results& into) {
  const Measure measure = table.control->settings.norm;
  if (measure == Measure::sum_of_squares) {
    reduce_all<Measure::sum_of_squares>(table, into);
  } else if (measure == Measure::sum_of_magnitudes) {
    reduce_all<Measure::sum_of_magnitudes>(table, into);
  } else {
    reduce_all<Measure::largest>(table, into);
  }
}

/// Thread blocks of kThreads threads; any grid size works. The kernel reads from the table what to measure,
/// so that a captured graph follows changed settings. Clipping by group takes one pass over the leaves for
/// every kGroupsAtOnce groups. Each pass reads the gradients of its groups alone. The bound of 4 thread
/// blocks keeps ptxas from aiming at five and spilling registers for sm_80.
__global__ void __launch_bounds__(kThreads, 4) reduce_gradients_kernel(const Table table) {
  const Settings& settings = table.control->settings;
  if (settings.measures_gradients == 0) return;
  __shared__ Reduction block[kGroupsAtOnce];
  const bool by_group = settings.clips_by_group != 0;
  const std::int64_t groups = by_group ? table.group_count : 1;
  for (std::int64_t first = 0; first < groups; first += kGroupsAtOnce) {
    const int count = groups - first < kGroupsAtOnce ? static_cast<int>(groups - first) : kGroupsAtOnce;
    __syncthreads();  // the pass before has merged
    for (int i = 0; i < count; ++i) clear(block[i]);
    reduce_gradients_of(table, {block, by_group ? first : -1});
    for (int i = 0; i < count; ++i) {
      merge(table.control->gradients, block[i]);
      if (by_group) merge(table.group_gradients[first + i], block[i]);
    }
  }
}

/// Thread blocks of kThreads threads; any grid size works.
__global__ void __launch_bounds__(kThreads) find_nonfinite_kernel(const Table table) {
  __shared__ Reduction block;
  clear(block);
  reduce_all<Measure::largest>(table, {&block, -1});
  merge(table.control->gradients, block);
}

/// Thread blocks of kThreads threads; any grid size works.
__global__ void __launch_bounds__(kThreads, 2) reduce_penalty_kernel(const Table table) {
  __shared__ Reduction block;
  clear(block);
  reduce_all<Measure::penalty>(table, {&block, -1});
  merge(table.control->penalty, block);
}

}  // namespace

int reduce_blocks() {
  return std::min({resident_blocks(reduce_gradients_kernel, kThreads),
                   resident_blocks(find_nonfinite_kernel, kThreads),
                   resident_blocks(reduce_penalty_kernel, kThreads)});
}

void reduce_gradients(const Table& table, int resident, Stream stream) {
  launch(reduce_gradients_kernel, {blocks_for(table.piece_count, resident), kThreads, stream.handle()},
         table);
}

void find_nonfinite(const Table& table, int resident, Stream stream) {
  launch(find_nonfinite_kernel, {blocks_for(table.piece_count, resident), kThreads, stream.handle()},
         with_incoming_measured(table));
}

void reduce_penalty(const Table& table, int resident, Stream stream) {
  launch(reduce_penalty_kernel, {blocks_for(table.piece_count, resident), kThreads, stream.handle()}, table);
}

}  // namespace onepass::kernels
