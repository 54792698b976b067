#include "host/cuda/loss_scale.hpp"

#include "host/cuda/device_guard.hpp"
#include "kernels/table_kernels.hpp"

namespace onepass::cuda {

void load_update_scale(int index) {
  const DeviceGuard guard(index);
  (void)kernels::zero_grad_blocks();
}

void update_scale(int index, step::SharedScale* shared, Stream stream) {
  const DeviceGuard guard(index);
  kernels::update_scale(shared, stream);
}

}  // namespace onepass::cuda
