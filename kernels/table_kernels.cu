#include "kernels/table_kernels.hpp"

#include <algorithm>
#include <cstdint>
#include <cstring>

#include "kernels/lanes.cuh"
#include "kernels/launch.cuh"
#include "onepass/storage/formats.hpp"
#include "step/by_dtype.hpp"
#include "step/decide_step.hpp"
#include "step/lookup.hpp"
#include "step/start.hpp"

namespace onepass::kernels {

namespace {

constexpr int kThreads = 256;

/// 4,000 bytes: just under the 4 KiB that the arguments of a launch may take.
constexpr int kPatchWords = 500;

struct Patch {
  std::uint64_t words[kPatchWords];
};

/// Thread blocks of kThreads threads stride over the chunks; any grid size works. Writes each gradient
/// element once. Zero has the same bits in both 16-bit types.
__global__ void __launch_bounds__(kThreads) zero_grad_kernel(const Table table) {
  void* const* const grads = callers_gradients(table);
  for (std::int64_t c = blockIdx.x; c < table.chunk_count; c += gridDim.x) {
    const Chunk chunk = table.chunks[c];
    if (grads[chunk.tensor] == nullptr) continue;
    const Extent part = chunk.extent();
    void* const grad = grads[chunk.tensor];
    if (table.tensors[chunk.tensor].incoming_type == DType::float32) {
      zero_range<storage::Float32, kThreads>(global<float>(grad) + part.begin, part.count);
    } else {
      zero_range<storage::BFloat16, kThreads>(global<std::uint16_t>(grad) + part.begin, part.count);
    }
  }
}

/// Copies a part of a tensor to one of its streams, with one thread block.
template <class From, class To>
__device__ void convert(void* param, void* stream, Extent part) {
  const auto* const from = global<typename From::Element>(param) + part.begin;
  auto* const to = global<typename To::Element>(stream) + part.begin;
  const Access reads = widest(from), writes = widest(to);
  for (std::int64_t i = kLanes * static_cast<std::int64_t>(threadIdx.x); i < part.count;
       i += kLanes * kThreads) {
    const int lanes = part.count - i < kLanes ? static_cast<int>(part.count - i) : kLanes;
    float values[kLanes];
    load<From>(values, from + i, lanes, reads);
    store<To>(to + i, values, lanes, writes);
  }
}

/// Thread blocks of kThreads threads stride over the chunks; any grid size works.
__global__ void __launch_bounds__(kThreads) start_kernel(const Table table, const std::uint32_t first) {
  for (std::int64_t c = blockIdx.x; c < table.chunk_count; c += gridDim.x) {
    const Chunk chunk = table.chunks[c];
    if (chunk.tensor < first) continue;
    const TensorEntry& tensor = table.tensors[chunk.tensor];
    const Extent part = chunk.extent();
    over_streams_that_copy(tensor, [&](void* stream, auto to) {
      by_dtype(tensor.param_type,
               [&](auto from) { convert<decltype(from), decltype(to)>(tensor.param, stream, part); });
    });
  }
}

/// One thread block of kThreads threads strides over the words. The patch stays in the argument space.
__global__ void __launch_bounds__(kThreads)
    write_words_kernel(std::uint64_t* const to, const __grid_constant__ Patch patch, const int count) {
  for (int i = static_cast<int>(threadIdx.x); i < count; i += kThreads) to[i] = patch.words[i];
}

/// One thread block of kThreads threads, which stride over the groups.
__global__ void __launch_bounds__(kThreads) give_measure_kernel(const Table table, const ShardMeasure to) {
  step::give_measure(table, to, threadIdx.x, kThreads);
}

/// One thread block of kThreads threads, which stride over the groups.
__global__ void __launch_bounds__(kThreads) take_measure_kernel(const Table table, const ShardMeasure from) {
  step::take_measure(table, from, threadIdx.x, kThreads);
}

/// Thread blocks of kThreads threads, which stride over the tensors; any grid size works.
__global__ void __launch_bounds__(kThreads) give_sums_kernel(const Table table, std::int64_t* const words) {
  step::give_sums(table, words, std::int64_t{blockIdx.x} * kThreads + threadIdx.x,
                  std::int64_t{gridDim.x} * kThreads);
}

/// The same.
__global__ void __launch_bounds__(kThreads)
    take_sums_kernel(const Table table, const std::int64_t* const words) {
  step::take_sums(table, words, std::int64_t{blockIdx.x} * kThreads + threadIdx.x,
                  std::int64_t{gridDim.x} * kThreads);
}

/// One thread block of kThreads threads, which stride over the groups and tensors.
__global__ void __launch_bounds__(kThreads) end_round_kernel(const Table table) {
  end_round_of_groups(table, threadIdx.x, kThreads);
  __syncthreads();
  if (threadIdx.x == 0) step::end_round(table);
}

/// One thread.
__global__ void update_scale_kernel(SharedScale* const shared) { update_shared_scale(*shared); }

/// Thread blocks for a small work on each tensor.
unsigned blocks_of_tensors(const Table& table) {
  constexpr std::int64_t kMostBlocks = 64;
  return blocks_for((table.tensor_count + kThreads - 1) / kThreads, kMostBlocks);
}

}  // namespace

int zero_grad_blocks() {
  (void)resident_blocks(write_words_kernel, kThreads);
  (void)resident_blocks(update_scale_kernel, 1);
  (void)resident_blocks(give_measure_kernel, kThreads);
  (void)resident_blocks(take_measure_kernel, kThreads);
  (void)resident_blocks(give_sums_kernel, kThreads);
  (void)resident_blocks(take_sums_kernel, kThreads);
  (void)resident_blocks(end_round_kernel, kThreads);
  return resident_blocks(zero_grad_kernel, kThreads);
}

void zero_grad(const Table& table, int resident, Stream stream) {
  launch(zero_grad_kernel, {blocks_for(table.chunk_count, resident), kThreads, stream.handle()}, table);
}

int start_blocks() { return resident_blocks(start_kernel, kThreads); }

void start_streams(const Table& table, std::uint32_t first, int resident, Stream stream) {
  launch(start_kernel, {blocks_for(table.chunk_count, resident), kThreads, stream.handle()}, table, first);
}

void write_bytes(void* to, std::span<const std::byte> bytes, Stream stream) {
  constexpr std::size_t kMost = sizeof(Patch);
  for (std::size_t done = 0; done < bytes.size(); done += kMost) {
    const std::size_t size = std::min(kMost, bytes.size() - done);
    Patch patch{};
    std::memcpy(patch.words, bytes.data() + done, size);
    launch(write_words_kernel, {1, kThreads, stream.handle()},
           reinterpret_cast<std::uint64_t*>(static_cast<std::byte*>(to) + done), patch,
           static_cast<int>(size / 8));
  }
}

void give_measure(const Table& table, const ShardMeasure& to, Stream stream) {
  launch(give_measure_kernel, {1, kThreads, stream.handle()}, table, to);
}

void take_measure(const Table& table, const ShardMeasure& from, Stream stream) {
  launch(take_measure_kernel, {1, kThreads, stream.handle()}, table, from);
}

void give_sums(const Table& table, std::int64_t* words, Stream stream) {
  launch(give_sums_kernel, {blocks_of_tensors(table), kThreads, stream.handle()}, table, words);
}

void take_sums(const Table& table, const std::int64_t* words, Stream stream) {
  launch(take_sums_kernel, {blocks_of_tensors(table), kThreads, stream.handle()}, table, words);
}

void end_round(const Table& table, Stream stream) {
  launch(end_round_kernel, {1, kThreads, stream.handle()}, table);
}

void update_scale(SharedScale* shared, Stream stream) {
  launch(update_scale_kernel, {1, 1, stream.handle()}, shared);
}

}  // namespace onepass::kernels
