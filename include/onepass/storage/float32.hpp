// float32.hpp - numbers stored as they are computed.
#pragma once

#include "onepass/arithmetic/lane.hpp"
#include "onepass/tensor.hpp"

namespace onepass::storage {

/// A codec: how one number lies in memory. Element is what is read and written, 4 bytes here.
struct Float32 {
  using Element = float;
  static constexpr DType kDType = DType::float32;
  static ONEPASS_LANE float decode(Element stored) { return stored; }
  static ONEPASS_LANE Element encode(float value) { return value; }
};

}  // namespace onepass::storage
