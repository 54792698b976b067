// start.hpp - which streams of a tensor begin as the parameter. All others begin as zeros.
#pragma once

#include <cstddef>
#include <cstdint>

#include "onepass/storage/formats.hpp"
#include "step/table.hpp"

namespace onepass::step {

/// A bit for each format: whether it has a float32 master.
constexpr std::uint64_t formats_with_master() {
  std::uint64_t formats = 0;
  for (std::size_t i = 0; i < storage::kFormatCount; ++i) {
    if (storage::kFormatNames[i].master == Master::float32) formats |= std::uint64_t{1} << i;
  }
  return formats;
}
inline constexpr std::uint64_t kFormatsWithMaster = formats_with_master();
static_assert(storage::kFormatCount <= 64);

/// Returns whether the tensor's remainder is a float32 master. A split or shortened remainder is none: with
/// zeros in it, the two streams together are the parameter.
ONEPASS_LANE bool has_master(const TensorEntry& tensor) {
  return (kFormatsWithMaster >> tensor.format & 1) != 0;
}

/// Returns whether any stream of the tensor begins as the parameter.
ONEPASS_LANE bool has_copies(const TensorEntry& tensor) {
  return has_master(tensor) || tensor.ema != nullptr;
}

/// Calls work(stream, codec) for each stream of the tensor that begins as the parameter, rounded to nearest:
/// the float32 master and the moving average. `codec` is that of the stream: Float32 or BFloat16.
template <class Work>
ONEPASS_LANE void over_streams_that_copy(const TensorEntry& tensor, const Work& work) {
  if (has_master(tensor)) work(tensor.remainder, storage::Float32{});
  if (tensor.ema == nullptr) return;
  if (tensor.ema_type == DType::float32) {
    work(tensor.ema, storage::Float32{});
  } else {
    work(tensor.ema, storage::BFloat16{});
  }
}

}  // namespace onepass::step
