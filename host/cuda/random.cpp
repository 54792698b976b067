#include "host/cuda/random.hpp"

#include "host/cuda/device_guard.hpp"
#include "kernels/random/random_kernels.hpp"

namespace onepass::cuda {

void fill(int index, const step::FillJob& job, Stream stream) {
  const DeviceGuard guard(index);
  kernels::fill(job, stream);
}

int dropout_blocks(int index) {
  const DeviceGuard guard(index);
  return kernels::dropout_blocks();
}

void dropout(int index, const step::DropoutJob& job, int resident_blocks, Stream stream) {
  const DeviceGuard guard(index);
  kernels::dropout(job, resident_blocks, stream);
}

void advance(int index, RandomPosition* state, Stream stream) {
  const DeviceGuard guard(index);
  kernels::advance(state, stream);
}

void write(int index, RandomPosition* state, RandomPosition position, Stream stream) {
  const DeviceGuard guard(index);
  kernels::write(state, position, stream);
}

}  // namespace onepass::cuda
