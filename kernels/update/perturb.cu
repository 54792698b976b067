#include "kernels/update/perturb.hpp"

#include <cstdint>
#include <type_traits>

#include "kernels/exact_warp.cuh"
#include "kernels/last_block.cuh"
#include "kernels/launch.cuh"
#include "kernels/update/any_format.cuh"
#include "kernels/update/turns.cuh"
#include "step/by_dtype.hpp"

namespace onepass::kernels {

namespace {

constexpr int kThreads = 128;

/// The gradient of a chunk, in its type.
struct Gradient {
  TensorEntry tensor;  ///< A copy: the compiler would reload a member of the table after every store.
  void* from;
  std::int64_t begin;
  DType type;

  __device__ __forceinline__ void load(AnyValues& values, Place place) const {
    with_gradient(tensor, [&](auto format) {
      GradStream<decltype(format)>(from, begin, type).load(values, place, false);
    });
  }
};

__device__ __forceinline__ Gradient gradient_of(const Table& table, const Chunk& chunk, void* from) {
  const TensorEntry tensor = table.tensors[chunk.tensor];
  return {tensor, from, chunk.begin, measured_type(table, tensor)};
}

/// Thread blocks of kThreads threads stride over the chunks; any grid size works.
__global__ void __launch_bounds__(kThreads) measure_terms_kernel(const Table table, const Perturbation how) {
  __shared__ Reduction block;
  clear(block);
  const int lane = static_cast<int>(threadIdx.x) % kWarp;
  for (std::int64_t c = blockIdx.x; c < table.chunk_count; c += gridDim.x) {
    const Chunk chunk = table.chunks[c];
    void* const from = measured_gradient(table, chunk.tensor);
    if (from == nullptr) continue;
    const Gradient gradient = gradient_of(table, chunk, from);
    const AnyParam param(gradient.tensor, chunk.begin);
    const Extent part = chunk.extent();
    for (Turns<kAnyTile, kThreads> turns; turns.any(part); turns.advance()) {
      const Place place(turns.at(), turns.count(part), chunk.lead());
      AnyValues p{}, g;
      if (how.is_adaptive != 0) param.load(p, place);
      gradient.load(g, place);
      float terms[kAnyTile][1];
      // A lane behind the end has a gradient of 0, and so a term of 0.
#pragma unroll
      for (int i = 0; i < kAnyTile; ++i) {
        terms[i][0] = how.is_adaptive != 0 ? term<true>(how.eta, p[i], g[i]) : g[i];
      }
      add_exactly<Measure::exact_squares>(terms, lane, block);
    }
  }
  merge(how.state->squares, block);
}

/// Copies a tile of a stream to where it is kept, and returns it.
template <class Element>
__device__ __forceinline__ Raw<Element, kAnyTile> kept_tile(void* kept, void* stream, std::int64_t first,
                                                            Place place) {
  auto* const from = global<Element>(stream) + first + place.at;
  auto* const to = global<Element>(kept) + first + place.at;
  Raw<Element, kAnyTile> raw;
  raw.load(from, place.count, widest(from));
  raw.store(to, place.count, widest(to));
  return raw;
}

/// Writes a tile of a stream, rounded to nearest.
template <class Codec>
__device__ __forceinline__ void write_tile(void* stream, std::int64_t first, Place place,
                                           const AnyValues& values) {
  auto* const to = global<typename Codec::Element>(stream) + first + place.at;
  store<Codec>(to, values, place.count, widest(to));
}

/// Decodes a tile of a parameter, of which `raw` is the stream that the model reads.
template <class Param>
__device__ __forceinline__ void decode_tile(AnyValues& values, const TensorEntry& tensor, std::int64_t first,
                                            Place place, const Raw<typename Param::Element, kAnyTile>& raw) {
  using Remainder = typename Param::Remainder;
  Raw<Remainder, kAnyTile> rest{};
  if constexpr (!std::is_same_v<Remainder, storage::NoRemainder>) {
    auto* const from = global<Remainder>(tensor.remainder) + first + place.at;
    rest.load(from, place.count, widest(from));
  }
#pragma unroll
  for (int i = 0; i < kAnyTile; ++i) values[i] = Param::decode(raw.element[i], rest.element[i]);
}

/// Keeps a tile of the 16-bit copy of a parameter, and overwrites it.
__device__ __forceinline__ void perturb_copy(const TensorEntry& tensor, const KeptTensor& kept,
                                             std::int64_t first, Place place, const AnyValues& moved) {
  kept_tile<std::uint16_t>(kept.copy, tensor.copy, first, place);
  if (tensor.copy_type == DType::bfloat16) {
    write_tile<storage::BFloat16>(tensor.copy, first, place, moved);
  } else {
    write_tile<storage::Float16>(tensor.copy, first, place, moved);
  }
}

/// Keeps a chunk and moves it, with one thread block.
template <class Param>
__device__ __forceinline__ void perturb_chunk(const Perturbation& how, const Push& push, const Chunk& chunk,
                                              const Gradient& gradient) {
  const TensorEntry& tensor = gradient.tensor;
  const KeptTensor kept = how.kept[chunk.tensor];
  const std::int64_t first = chunk.begin;
  for (std::int64_t at = kAnyTile * static_cast<std::int64_t>(threadIdx.x); at < chunk.count;
       at += kAnyTile * kThreads) {
    const std::int64_t left = std::int64_t{chunk.count} - at;
    const Place place(at, left < kAnyTile ? static_cast<int>(left) : kAnyTile, chunk.lead());
    const auto raw = kept_tile<typename Param::Element>(kept.param, tensor.param, first, place);
    AnyValues p, g;
    decode_tile<Param>(p, tensor, first, place, raw);
    gradient.load(g, place);
#pragma unroll
    for (int i = 0; i < kAnyTile; ++i) {
      p[i] = how.is_adaptive != 0 ? push.moved<true>(how.eta, p[i], g[i])
                                  : push.moved<false>(how.eta, p[i], g[i]);
    }
    by_dtype(Param::kDType, [&](auto codec) { write_tile<decltype(codec)>(tensor.param, first, place, p); });
    if constexpr (Param::kDType == DType::float32) {
      if (kept.copy != nullptr) perturb_copy(tensor, kept, first, place, p);
    }
  }
}

/// Overwrites the gradient of a chunk with zeros, after the thread block has read it.
__device__ __forceinline__ void zero_chunk(const Gradient& gradient, const Chunk& chunk) {
  with_gradient(gradient.tensor, [&](auto format) {
    GradStream<decltype(format)>(gradient.from, gradient.begin, gradient.type)
        .template zero<kThreads>(chunk.count);
  });
}

/// Thread blocks of kThreads threads stride over the chunks; any grid size works. The last one to finish
/// concludes.
__global__ void __launch_bounds__(kThreads) perturb_kernel(const Table table, const Perturbation how) {
  __shared__ Push shared;
  const bool is_moved_already = how.state->is_perturbed != 0;
  if (threadIdx.x == 0) shared = push_of(table, how);
  __syncthreads();
  const Push push = shared;
  for (std::int64_t c = blockIdx.x; c < table.chunk_count && !is_moved_already; c += gridDim.x) {
    const Chunk chunk = table.chunks[c];
    void* const from = measured_gradient(table, chunk.tensor);
    if (from == nullptr) continue;
    const Gradient gradient = gradient_of(table, chunk, from);
    if (push.factor != 0.0f) {
      by_param(gradient.tensor.param_type, gradient.tensor.master,
               [&](auto codec) { perturb_chunk<decltype(codec)>(how, push, chunk, gradient); });
    }
    if (zeroes_gradient(table, chunk.tensor)) zero_chunk(gradient, chunk);
  }
  if (!is_last_block(how.state->blocks_done)) return;
  if (!is_moved_already) return conclude_perturbation(table, how, push, threadIdx.x, kThreads);
  if (threadIdx.x == 0) how.state->squares = Reduction::none();
}

/// Copies a chunk of a stream back from where it was kept, with one thread block.
template <class Element>
__device__ __forceinline__ void put_back(void* stream, void* kept, const Chunk& chunk) {
  for (std::int64_t at = kAnyTile * static_cast<std::int64_t>(threadIdx.x); at < chunk.count;
       at += kAnyTile * kThreads) {
    const std::int64_t left = std::int64_t{chunk.count} - at;
    const Place place(at, left < kAnyTile ? static_cast<int>(left) : kAnyTile, chunk.lead());
    kept_tile<Element>(stream, kept, chunk.begin, place);
  }
}

/// Thread blocks of kThreads threads stride over the chunks; any grid size works.
__global__ void __launch_bounds__(kThreads) restore_kernel(const Table table, const Perturbation how) {
  const bool is_moved = how.state->is_perturbed != 0;
  for (std::int64_t c = blockIdx.x; c < table.chunk_count && is_moved; c += gridDim.x) {
    const Chunk chunk = table.chunks[c];
    const KeptTensor kept = how.kept[chunk.tensor];
    if (kept.is_moved == 0) continue;
    const TensorEntry& tensor = table.tensors[chunk.tensor];
    if (tensor.param_type == DType::float32) {
      put_back<std::uint32_t>(tensor.param, kept.param, chunk);
    } else {
      put_back<std::uint16_t>(tensor.param, kept.param, chunk);
    }
    if (kept.copy != nullptr) put_back<std::uint16_t>(tensor.copy, kept.copy, chunk);
  }
  if (is_last_block(how.state->blocks_done) && threadIdx.x == 0) how.state->is_perturbed = 0;
}

/// One thread.
__global__ void give_squares_kernel(const Perturbation how, std::int64_t* const words) {
  step::give_squares(how, words);
}

/// One thread.
__global__ void take_squares_kernel(const Perturbation how, const std::int64_t* const words) {
  step::take_squares(how, words);
}

}  // namespace

PerturbBlocks perturb_blocks() {
  (void)resident_blocks(give_squares_kernel, 1);
  (void)resident_blocks(take_squares_kernel, 1);
  return {.measure = resident_blocks(measure_terms_kernel, kThreads),
          .perturb = resident_blocks(perturb_kernel, kThreads),
          .restore = resident_blocks(restore_kernel, kThreads)};
}

void measure_terms(const Table& table, const Perturbation& how, const PerturbBlocks& resident,
                   Stream stream) {
  launch(measure_terms_kernel, {blocks_for(table.chunk_count, resident.measure), kThreads, stream.handle()},
         table, how);
}

void give_squares(const Perturbation& how, std::int64_t* words, Stream stream) {
  launch(give_squares_kernel, {1, 1, stream.handle()}, how, words);
}

void take_squares(const Perturbation& how, const std::int64_t* words, Stream stream) {
  launch(take_squares_kernel, {1, 1, stream.handle()}, how, words);
}

void perturb(const Table& table, const Perturbation& how, const PerturbBlocks& resident, Stream stream) {
  launch(perturb_kernel, {blocks_for(table.chunk_count, resident.perturb), kThreads, stream.handle()}, table,
         how);
}

void restore(const Table& table, const Perturbation& how, const PerturbBlocks& resident, Stream stream) {
  launch(restore_kernel, {blocks_for(table.chunk_count, resident.restore), kThreads, stream.handle()}, table,
         how);
}

}  // namespace onepass::kernels
