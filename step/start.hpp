// start.hpp - which streams of a tensor begin as the parameter. All others begin as zeros.
#pragma once

#include "onepass/storage/bfloat16.hpp"
#include "onepass/storage/float32.hpp"
#include "step/table.hpp"

namespace onepass::step {

/// Returns whether the tensor's remainder is a float32 master. A split or shortened remainder is none: with
/// zeros in it, the two streams together are the parameter.
ONEPASS_LANE bool has_master(const TensorEntry& tensor) { return tensor.master == Master::float32; }

/// Returns whether the tensor has a master that begins as the parameter. One that is null has its contents.
ONEPASS_LANE bool begins_master(const TensorEntry& tensor) {
  return has_master(tensor) && tensor.remainder != nullptr;
}

/// Returns whether any stream of the tensor begins as the parameter.
ONEPASS_LANE bool has_copies(const TensorEntry& tensor) {
  return begins_master(tensor) || tensor.ema != nullptr || tensor.slow != nullptr;
}

/// Calls work(stream, codec) for each stream of the tensor that begins as the parameter, rounded to nearest:
/// the float32 master, the slow weights and the moving average. `codec` is that of the stream: Float32 or
/// BFloat16.
template <class Work>
ONEPASS_LANE void over_streams_that_copy(const TensorEntry& tensor, const Work& work) {
  if (begins_master(tensor)) work(tensor.remainder, storage::Float32{});
  if (tensor.slow != nullptr) work(tensor.slow, storage::Float32{});
  if (tensor.ema == nullptr) return;
  if (tensor.ema_type == DType::float32) {
    work(tensor.ema, storage::Float32{});
  } else {
    work(tensor.ema, storage::BFloat16{});
  }
}

}  // namespace onepass::step
