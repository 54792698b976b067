// faults.hpp - small kernels with one fault each, next to correct twins.
#pragma once

#include <cuda_runtime_api.h>

#include <ostream>
#include <string>
#include <vector>

struct FaultCase {
  std::string name;     ///< The faulty line ends with the comment "FAULT: name".
  std::string finding;  ///< The emulator's name of this fault.
  /// Runs the faulty kernel or its correct twin and returns the error of the synchronising call.
  cudaError_t (*run)(bool faulty);
};

void PrintTo(const FaultCase& fault, std::ostream* out);

std::vector<FaultCase> device_faults();
std::vector<FaultCase> stream_faults();

/// Device memory of one case, freed at its end.
struct Buffer {
  explicit Buffer(std::size_t bytes, bool zero = true) {
    cudaMalloc(&pointer, bytes);
    if (zero) cudaMemset(pointer, 0, bytes);
  }
  ~Buffer() { cudaFree(pointer); }
  Buffer(const Buffer&) = delete;
  Buffer& operator=(const Buffer&) = delete;
  float* floats() const { return static_cast<float*>(pointer); }
  int* ints() const { return static_cast<int*>(pointer); }
  void* pointer = nullptr;
};
