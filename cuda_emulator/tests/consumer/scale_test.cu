// scale_test.cu - a CUDA test of another project; the argument `out-of-bounds` gives it a fault.
#include <cuda_runtime.h>

#include <cstdio>
#include <cstring>

__global__ void scale(float* values, int count, float factor) {
  const int i = threadIdx.x;
  if (i < count) values[i] *= factor;  // FAULT: out of bounds if count exceeds the allocation
}

int main(int argc, char** argv) {
  const int allocated = 100;
  const int count = argc > 1 && std::strcmp(argv[1], "out-of-bounds") == 0 ? allocated + 1 : allocated;
  float host[allocated];
  for (int i = 0; i < allocated; ++i) host[i] = static_cast<float>(i);
  float* device = nullptr;
  cudaMalloc(&device, sizeof host);
  cudaMemcpy(device, host, sizeof host, cudaMemcpyHostToDevice);
  scale<<<1, 128>>>(device, count, 2.0f);
  const cudaError_t error = cudaDeviceSynchronize();
  if (error != cudaSuccess) std::printf("cudaDeviceSynchronize: %s\n", cudaGetErrorString(error));
  cudaMemcpy(host, device, sizeof host, cudaMemcpyDeviceToHost);
  cudaFree(device);
  return error == cudaSuccess && host[99] == 198.0f ? 0 : 1;
}
