// master_float32.hpp - codec for a 16-bit parameter with a float32 master.
#pragma once

#include "onepass/arithmetic/bits.hpp"
#include "onepass/tensor.hpp"

namespace onepass::storage {

/// Codec over two streams: the parameter in the format of Low (BFloat16 or Float16), which the model reads,
/// and the float32 master, which the optimizer updates. The parameter is rounded to nearest, ties to even,
/// and never read back. If you modify a parameter between steps, modify its master instead.
template <class Low>
struct WithMaster {
  using Element = typename Low::Element;
  using Remainder = float;
  static constexpr DType kDType = Low::kDType;

  static ONEPASS_LANE float decode(Element /*element*/, Remainder master) { return master; }
  static ONEPASS_LANE void encode(float x, Element& element, Remainder& master) {
    element = Low::encode(x);
    master = x;
  }
};

}  // namespace onepass::storage
