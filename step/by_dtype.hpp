// by_dtype.hpp - chooses the codec of a parameter or gradient from its type at run time.
#pragma once

#include "onepass/storage/bfloat16.hpp"
#include "onepass/storage/float16.hpp"
#include "onepass/storage/float32.hpp"
#include "onepass/storage/formats.hpp"

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

/// Calls `work` once with the codec of a parameter of this type and kind of master, for example as
/// work(storage::SplitBFloat16{}). Codecs are empty: `work` takes an `auto` and uses decltype of it. No other
/// pair may be passed.
template <class Work>
ONEPASS_LANE void by_param(DType dtype, Master master, const Work& work) {
  using namespace storage;
  const bool is_bfloat16 = dtype == DType::bfloat16;
  switch (master) {
    case Master::none:
      if (dtype == DType::float32) return work(Alone<Float32>{});
      return is_bfloat16 ? work(Alone<BFloat16>{}) : work(Alone<Float16>{});
    case Master::float32:
      return is_bfloat16 ? work(WithMaster<BFloat16>{}) : work(WithMaster<Float16>{});
    case Master::split:
      return work(SplitBFloat16{});
    case Master::remainder8:
      return is_bfloat16 ? work(BFloat16Remainder8{}) : work(Float16Remainder8{});
  }
}

}  // namespace onepass::step
