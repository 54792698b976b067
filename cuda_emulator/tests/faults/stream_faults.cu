// stream_faults.cu - work of two streams without a wait between them.
#include "tests/faults/faults.hpp"

namespace {

__global__ void write_values(float* out) { out[threadIdx.x] = 1.0f; }

__global__ void read_values(const float* in, float* out) {
  out[threadIdx.x] = in[threadIdx.x];  // FAULT: read_without_wait
}

__global__ void write_again(float* out) {
  out[threadIdx.x] = 2.0f;  // FAULT: write_without_wait
}

struct Streams {
  Streams() {
    cudaStreamCreateWithFlags(&first, cudaStreamNonBlocking);
    cudaStreamCreateWithFlags(&second, cudaStreamNonBlocking);
    cudaEventCreateWithFlags(&event, cudaEventDisableTiming);
  }
  ~Streams() {
    cudaEventDestroy(event);
    cudaStreamDestroy(first);
    cudaStreamDestroy(second);
  }
  void second_waits_for_first() const {
    cudaEventRecord(event, first);
    cudaStreamWaitEvent(second, event, 0);
  }
  cudaStream_t first = nullptr;
  cudaStream_t second = nullptr;
  cudaEvent_t event = nullptr;
};

cudaError_t run_reader(bool faulty) {
  const Buffer data(256), out(256);
  cudaDeviceSynchronize();
  const Streams streams;
  write_values<<<1, 64, 0, streams.first>>>(data.floats());
  if (!faulty) streams.second_waits_for_first();
  read_values<<<1, 64, 0, streams.second>>>(data.floats(), out.floats());
  // The work of the first stream is older and ends first here. The emulator finds the race nevertheless.
  cudaStreamSynchronize(streams.first);
  const cudaError_t error = cudaStreamSynchronize(streams.second);
  return error;
}

cudaError_t run_writer(bool faulty) {
  const Buffer data(256), out(256);
  cudaDeviceSynchronize();
  const Streams streams;
  cudaMemcpyAsync(out.pointer, data.pointer, 256, cudaMemcpyDeviceToDevice, streams.first);
  if (!faulty) streams.second_waits_for_first();
  write_again<<<1, 64, 0, streams.second>>>(data.floats());
  cudaStreamSynchronize(streams.first);
  return cudaStreamSynchronize(streams.second);
}

}  // namespace

std::vector<FaultCase> stream_faults() {
  return {
      {"read_without_wait", "data race", run_reader},
      {"write_without_wait", "data race", run_writer},
  };
}
