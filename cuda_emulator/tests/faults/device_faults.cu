// device_faults.cu - kernels with one fault each.
#include "tests/faults/faults.hpp"

namespace {

constexpr unsigned kAll = 0xffffffffu;

template <bool faulty>
__global__ void reverse_block(int* out) {
  __shared__ int line[64];
  const int t = threadIdx.x;
  line[t] = t;
  if (!faulty) __syncthreads();
  out[t] = line[63 - t];  // FAULT: shared_race_without_barrier
}

// The read is correct. The write of the next round races with it.
template <bool faulty>
__global__ void rotate_twice(int* out) {
  __shared__ int line[64];
  const int t = threadIdx.x;
  int x = t;
  for (int round = 0; round < 2; ++round) {
    line[t] = x;  // FAULT: shared_race_with_the_next_round
    __syncthreads();
    x = line[(t + 33) % 64];
    if (!faulty) __syncthreads();
  }
  out[t] = x;
}

template <bool faulty>
__global__ void exchange_in_warp(int* out) {
  __shared__ int line[32];
  const int t = threadIdx.x;
  line[t] = t;
  if (!faulty) __syncwarp();
  out[t] = line[31 - t];  // FAULT: shared_race_without_syncwarp
}

template <bool faulty>
__global__ void neighbour_in_global(int* out) {
  const int t = threadIdx.x;
  out[t] = t;
  if (!faulty) __syncthreads();
  const int x = out[t ^ 1];  // FAULT: global_race_in_a_block
  __syncthreads();
  out[t] = x;
}

template <bool faulty>
__global__ void last_block_sums(int* partial, unsigned* ticket, int* out) {
  __shared__ bool last;
  if (threadIdx.x == 0) {
    partial[blockIdx.x] = blockIdx.x + 1;
    if (!faulty) __threadfence();
    last = atomicInc(ticket, gridDim.x - 1) == gridDim.x - 1;
  }
  __syncthreads();
  if (!last) return;
  __threadfence();
  int sum = 0;
  if (threadIdx.x == 0) {
    for (int i = 0; i < gridDim.x; ++i) {
      sum += partial[i];  // FAULT: global_race_without_fence
    }
    *out = sum;
  }
}

template <bool faulty>
__global__ void blocks_share_a_cell(int* out) {
  if (threadIdx.x != 0) return;
  if (faulty) {
    *out += 1;  // FAULT: global_race_between_blocks
  } else {
    atomicAdd(out, 1);
  }
}

// Writes to neighbouring bytes of one word do not race. Writes to the same byte do.
template <bool faulty>
__global__ void write_bytes(unsigned char* out) {
  const int t = threadIdx.x;
  out[faulty ? t / 2 : t] = static_cast<unsigned char>(t);  // FAULT: global_race_on_bytes
}

template <bool faulty>
__global__ void read_unwritten_global(const float* in, float* out) {
  out[threadIdx.x] = in[threadIdx.x];  // FAULT: unwritten_global
}

template <bool faulty>
__global__ void read_unwritten_shared(float* out) {
  __shared__ float values[64];
  if (!faulty || threadIdx.x < 60) values[threadIdx.x] = 1.0f;
  __syncthreads();
  out[threadIdx.x] = values[threadIdx.x ^ 1];  // FAULT: unwritten_shared
}

template <bool faulty>
__global__ void read_unwritten_local(const int* order, int* out) {
  int values[8];
  for (int i = 0; i < (faulty ? 7 : 8); ++i) values[order[i]] = i;
  out[threadIdx.x] = values[order[7]];  // FAULT: unwritten_local
}

template <bool faulty>
__global__ void write_past_the_end(float* out, int n) {
  const int i = blockIdx.x * blockDim.x + threadIdx.x;
  if (faulty ? i <= n : i < n) out[i] = 1.0f;  // FAULT: past_the_end
}

template <bool faulty>
__global__ void vector_past_the_end(const float4* in, float* out, int n) {
  const int i = threadIdx.x;
  if (i < (faulty ? (n + 3) / 4 : n / 4)) {
    const float4 v = in[i];  // FAULT: vector_past_the_end
    out[i] = v.x + v.w;
  }
}

template <bool faulty>
__global__ void past_a_shared_array(int* out, int offset) {
  __shared__ int first[32];
  __shared__ int second[32];
  first[threadIdx.x] = 1;
  second[threadIdx.x] = 2;
  __syncthreads();
  out[threadIdx.x] = first[threadIdx.x + offset] + second[threadIdx.x];  // FAULT: past_a_shared_array
}

template <bool faulty>
__global__ void misaligned_vector(const float* in, float* out) {
  const auto* vectors = reinterpret_cast<const float4*>(in + (faulty ? 1 : 0));
  const float4 v = vectors[threadIdx.x];  // FAULT: misaligned_vector
  out[threadIdx.x] = v.x + v.y + v.z + v.w;
}

template <bool faulty>
__global__ void return_before_barrier(int* out, int n) {
  if (faulty && threadIdx.x >= n) return;
  if (threadIdx.x < n) out[threadIdx.x] = 1;
  __syncthreads();  // FAULT: return_before_barrier
  if (threadIdx.x < n) out[threadIdx.x] += 1;
}

template <bool faulty>
__global__ void barrier_in_a_branch(int* out) {
  if (!faulty || threadIdx.x % 2 == 0) {
    asm volatile("bar.sync 0;" ::: "memory");  // FAULT: barrier_in_a_branch
    out[threadIdx.x] = 1;
  } else {
    asm volatile("bar.sync 1;" ::: "memory");
    out[threadIdx.x] = 2;
  }
}

template <bool faulty>
__global__ void two_barriers_in_a_warp(int* out) {
  if (!faulty || threadIdx.x % 2 == 0) {
    asm volatile("bar.sync 0;" ::: "memory");  // FAULT: two_barriers_in_a_warp
    out[threadIdx.x] = 1;
  } else {
    asm volatile("bar.sync 0;" ::: "memory");
    out[threadIdx.x] = 2;
  }
}

// Two of the four warps wait at their own barrier. That is correct, and it orders only these two.
template <bool faulty>
__global__ void barrier_of_two_warps(int* out) {
  __shared__ int line[128];
  const int t = threadIdx.x;
  line[t] = t;
  if (t < 64) {
    asm volatile("bar.sync 1, 64;" ::: "memory");
    out[t] = line[faulty ? 127 - t : 63 - t];  // FAULT: barrier_of_two_warps
  }
}

template <bool faulty>
__global__ void half_warp_shuffles(int* out) {
  const int t = threadIdx.x;
  int x = t;
  if (t < 16) {
    x = __shfl_xor_sync(faulty ? kAll : 0x0000ffffu, x, 1);  // FAULT: shuffle_by_half_a_warp
  }
  out[t] = x;
}

template <bool faulty>
__global__ void shuffle_from_outside(int* out) {
  const int t = threadIdx.x;
  int x = t;
  if (t < 16) {
    x = __shfl_sync(0x0000ffffu, x, faulty ? 20 : 5);  // FAULT: shuffle_from_outside_the_mask
  }
  out[t] = x;
}

__global__ void unknown_instruction(unsigned* out) {
  unsigned mask;
  asm volatile("activemask.b32 %0;" : "=r"(mask));  // FAULT: unknown_instruction
  out[threadIdx.x] = mask;
}

__global__ void known_instruction(unsigned* out) { out[threadIdx.x] = __ballot_sync(kAll, 1); }

// Calls one of the two instantiations of a kernel.
#define LAUNCH(kernel, faulty, blocks, threads, ...)         \
  ((faulty) ? kernel<true><<<blocks, threads>>>(__VA_ARGS__) \
            : kernel<false><<<blocks, threads>>>(__VA_ARGS__))

cudaError_t run_last_block(bool faulty) {
  const Buffer partial(64), ticket(4), out(4);
  LAUNCH(last_block_sums, faulty, 8, 64, partial.ints(), static_cast<unsigned*>(ticket.pointer), out.ints());
  return cudaDeviceSynchronize();
}

/// Runs a case whose kernel takes only an output.
template <auto faulty_kernel, auto correct_kernel, int blocks, int threads>
cudaError_t run_simple(bool faulty) {
  const Buffer out(1024);
  (faulty ? faulty_kernel : correct_kernel)<<<blocks, threads>>>(out.ints());
  return cudaDeviceSynchronize();
}

cudaError_t run_unwritten_global(bool faulty) {
  const Buffer in(256, !faulty), out(256);
  LAUNCH(read_unwritten_global, faulty, 1, 64, in.floats(), out.floats());
  return cudaDeviceSynchronize();
}

cudaError_t run_unwritten_shared(bool faulty) {
  const Buffer out(256);
  LAUNCH(read_unwritten_shared, faulty, 1, 64, out.floats());
  return cudaDeviceSynchronize();
}

cudaError_t run_unwritten_local(bool faulty) {
  const int order[8] = {3, 1, 4, 0, 5, 2, 6, 7};
  const Buffer in(sizeof order), out(128);
  cudaMemcpy(in.pointer, order, sizeof order, cudaMemcpyHostToDevice);
  LAUNCH(read_unwritten_local, faulty, 1, 32, in.ints(), out.ints());
  return cudaDeviceSynchronize();
}

cudaError_t run_past_the_end(bool faulty) {
  const Buffer out(100 * 4);
  LAUNCH(write_past_the_end, faulty, 2, 64, out.floats(), 100);
  return cudaDeviceSynchronize();
}

cudaError_t run_vector_past_the_end(bool faulty) {
  const Buffer in(99 * 4), out(128 * 4);
  LAUNCH(vector_past_the_end, faulty, 1, 32, reinterpret_cast<float4*>(in.pointer), out.floats(), 99);
  return cudaDeviceSynchronize();
}

cudaError_t run_use_after_free(bool faulty) {
  Buffer out(256);
  float* memory = nullptr;
  cudaMalloc(&memory, 256);
  cudaMemset(memory, 0, 256);
  if (faulty) cudaFree(memory);
  read_unwritten_global<false><<<1, 64>>>(memory, out.floats());
  const cudaError_t error = cudaDeviceSynchronize();
  if (!faulty) cudaFree(memory);
  return error;
}

cudaError_t run_past_a_shared_array(bool faulty) {
  const Buffer out(128);
  LAUNCH(past_a_shared_array, faulty, 1, 32, out.ints(), faulty ? 1 : 0);
  return cudaDeviceSynchronize();
}

cudaError_t run_misaligned(bool faulty) {
  const Buffer in(33 * 16), out(128);
  LAUNCH(misaligned_vector, faulty, 1, 32, in.floats(), out.floats());
  return cudaDeviceSynchronize();
}

cudaError_t run_return_before_barrier(bool faulty) {
  const Buffer out(256);
  LAUNCH(return_before_barrier, faulty, 1, 64, out.ints(), 40);
  return cudaDeviceSynchronize();
}

cudaError_t run_bytes(bool faulty) {
  const Buffer out(64);
  LAUNCH(write_bytes, faulty, 1, 64, static_cast<unsigned char*>(out.pointer));
  return cudaDeviceSynchronize();
}

cudaError_t run_unknown_instruction(bool faulty) {
  const Buffer out(128);
  (faulty ? unknown_instruction : known_instruction)<<<1, 32>>>(static_cast<unsigned*>(out.pointer));
  const cudaError_t error = cudaGetLastError();
  return error != cudaSuccess ? error : cudaDeviceSynchronize();
}

}  // namespace

std::vector<FaultCase> device_faults() {
  const std::string race = "data race";
  const std::string unwritten = "read of memory never written";
  const std::string bounds = "access out of bounds";
  const std::string barrier = "barrier not reached by all threads";
  const std::string lane = "warp operation with an inactive lane";
  return {
      {"shared_race_without_barrier", race, run_simple<reverse_block<true>, reverse_block<false>, 1, 64>},
      {"shared_race_with_the_next_round", race, run_simple<rotate_twice<true>, rotate_twice<false>, 1, 64>},
      {"shared_race_without_syncwarp", race,
       run_simple<exchange_in_warp<true>, exchange_in_warp<false>, 1, 32>},
      {"global_race_in_a_block", race,
       run_simple<neighbour_in_global<true>, neighbour_in_global<false>, 1, 64>},
      {"global_race_without_fence", race, run_last_block},
      {"global_race_between_blocks", race,
       run_simple<blocks_share_a_cell<true>, blocks_share_a_cell<false>, 4, 32>},
      {"global_race_on_bytes", race, run_bytes},
      {"unwritten_global", unwritten, run_unwritten_global},
      {"unwritten_shared", unwritten, run_unwritten_shared},
      {"unwritten_local", unwritten, run_unwritten_local},
      {"past_the_end", bounds, run_past_the_end},
      {"vector_past_the_end", bounds, run_vector_past_the_end},
      {"unwritten_global", bounds, run_use_after_free},
      {"past_a_shared_array", bounds, run_past_a_shared_array},
      {"misaligned_vector", "misaligned access", run_misaligned},
      {"return_before_barrier", barrier, run_return_before_barrier},
      {"barrier_in_a_branch", barrier,
       run_simple<barrier_in_a_branch<true>, barrier_in_a_branch<false>, 1, 32>},
      {"two_barriers_in_a_warp", barrier,
       run_simple<two_barriers_in_a_warp<true>, two_barriers_in_a_warp<false>, 1, 32>},
      {"barrier_of_two_warps", race,
       run_simple<barrier_of_two_warps<true>, barrier_of_two_warps<false>, 1, 128>},
      {"shuffle_by_half_a_warp", lane,
       run_simple<half_warp_shuffles<true>, half_warp_shuffles<false>, 1, 32>},
      {"shuffle_from_outside_the_mask", lane,
       run_simple<shuffle_from_outside<true>, shuffle_from_outside<false>, 1, 32>},
      {"unknown_instruction", "not supported by the emulator", run_unknown_instruction},
  };
}
