// master_float32.hpp - a low-precision parameter beside its float32 master.
#pragma once

#include "onepass/arithmetic/bits.hpp"
#include "onepass/tensor.hpp"

namespace onepass::storage {

/// A codec over two streams: the parameter in Low's format (BFloat16, Float16), for the model to read, and
/// the float32 that the optimizer moves. The element is rounded to nearest, ties to even, and never read
/// back: who changes a parameter between two steps changes its master.
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
