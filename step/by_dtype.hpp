// by_dtype.hpp - chooses the codec of a parameter or gradient from its element type at run time.
#pragma once

#include "onepass/storage/bfloat16.hpp"
#include "onepass/storage/float16.hpp"
#include "onepass/storage/float32.hpp"

namespace onepass::step {

/// Calls `work` once with the codec of a float32, bfloat16 or float16 stream, for example as
/// work(storage::BFloat16{}). Codecs are empty: `work` takes an `auto` and uses decltype of it. No other type
/// may be passed.
template <class Work>
ONEPASS_LANE void by_dtype(DType dtype, const Work& work) {
  switch (dtype) {
    case DType::bfloat16:
      return work(storage::BFloat16{});
    case DType::float16:
      return work(storage::Float16{});
    default:
      return work(storage::Float32{});
  }
}

}  // namespace onepass::step
