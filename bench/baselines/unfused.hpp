// unfused.hpp - a step as one writes it without a fused kernel: BLAS level 1 and elementwise passes.
#pragma once

#include <cstdint>
#include <span>
#include <string_view>

#include "bench/baselines/loops.hpp"

namespace onepass::bench {

/// What a pass works on: a part of a tensor, and scratch memory of the same length.
struct UnfusedPart {
  FloatStreams at;
  float* scratch;
  std::int64_t count;
};

struct UnfusedContext {
  const plain::Numbers& k;
  const Passes& passes;
};

using UnfusedPass = void (*)(const UnfusedContext& context, const UnfusedPart& part);

/// The passes of a step of the rule called `rule`, each over the whole model before the next begins. What
/// BLAS has (scal, axpy) is OpenBLAS's, which is left with one thread: the caller divides the work. Throws
/// std::logic_error if there is no such rule.
std::span<const UnfusedPass> unfused_passes(std::string_view rule);

/// Gives OpenBLAS's calls the thread that makes them. Once, before any of the passes.
void leave_blas_single_threaded();

}  // namespace onepass::bench
