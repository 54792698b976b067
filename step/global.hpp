// global.hpp - pointers that were read from memory, declared to point to device memory.
#pragma once

#include "onepass/arithmetic/lane.hpp"

namespace onepass::step {

/// Saying that it is global memory spares a generic access: the compiler cannot know it of a pointer that it
/// reads from memory. Nothing on the host.
template <class Pointer>
ONEPASS_LANE Pointer declared_global(Pointer pointer) {
#ifdef __CUDA_ARCH__
  __builtin_assume(__isGlobal(pointer));
#endif
  return pointer;
}

}  // namespace onepass::step
