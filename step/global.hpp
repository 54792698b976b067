// global.hpp - tells nvcc that a pointer read from memory points to global memory.
#pragma once

#include "onepass/arithmetic/lane.hpp"

namespace onepass::step {

/// Returns the pointer. In device code it also declares that the pointer points to global memory: nvcc cannot
/// know that of a pointer read from memory and would otherwise emit slower generic accesses. Does nothing on
/// the host.
template <class Pointer>
ONEPASS_LANE Pointer declared_global(Pointer pointer) {
#ifdef __CUDA_ARCH__
  __builtin_assume(__isGlobal(pointer));
#endif
  return pointer;
}

}  // namespace onepass::step
