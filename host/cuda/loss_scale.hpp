// loss_scale.hpp - launches the kernel of SharedLossScaler on a device given by its number. loss_scale.cpp
// implements it, or absent.cpp if onepass is built without CUDA.
#pragma once

#include "onepass/stream.hpp"
#include "step/control.hpp"

namespace onepass::cuda {

/// Loads the kernel, so that its first launch can be captured. Throws CudaError, or InvalidArgument if there
/// is no such device.
void load_update_scale(int index);

/// Calls step::update_shared_scale() on the device. One launch, asynchronous on the stream. Throws CudaError.
void update_scale(int index, step::SharedScale* shared, Stream stream);

}  // namespace onepass::cuda
