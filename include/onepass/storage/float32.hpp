// float32.hpp - codec for float32, the type in which numbers are computed.
#pragma once

#include "onepass/arithmetic/lane.hpp"
#include "onepass/tensor.hpp"

namespace onepass::storage {

/// Codec for float32. A codec converts one number between memory and registers: `Element` is its type in
/// memory (4 bytes here), decode() returns the float32 value of an element, and encode() rounds a float32 to
/// an element.
struct Float32 {
  using Element = float;
  static constexpr DType kDType = DType::float32;
  static ONEPASS_LANE float decode(Element stored) { return stored; }
  static ONEPASS_LANE Element encode(float value) { return value; }
};

}  // namespace onepass::storage
