// unfused.hpp - a step without a fused kernel: BLAS level 1 calls and elementwise passes.
#pragma once

#include <algorithm>
#include <cstdint>
#include <span>
#include <string_view>

#include "bench/baselines/loops.hpp"

namespace onepass::bench {

/// The arguments of a pass: a part of a tensor, and scratch memory of the same length.
struct UnfusedPart {
  FloatStreams at;
  float* scratch;
  std::int64_t count;
};

/// The BLAS functions that the passes use, on the device of the streams.
class Blas {
 public:
  virtual ~Blas() = default;
  virtual void scale(std::int64_t count, float factor, float* x) const = 0;                ///< x *= factor
  virtual void add(std::int64_t count, float factor, const float* x, float* y) const = 0;  ///< y += factor x

 protected:
  /// BLAS counts elements in int, so this calls work(first element, count) for ranges of at most 2^30
  /// elements.
  template <class Work>
  static void in_ranges(std::int64_t count, const Work& work) {
    constexpr std::int64_t kMost = std::int64_t{1} << 30;
    for (std::int64_t at = 0; at < count; at += kMost) {
      work(at, static_cast<int>(std::min(kMost, count - at)));
    }
  }
};
/// OpenBLAS on the calling thread.
const Blas& open_blas();

struct UnfusedContext {
  const plain::Numbers& k;
  const Passes& passes;
  const Blas& blas = open_blas();
};

using UnfusedPass = void (*)(const UnfusedContext& context, const UnfusedPart& part);

/// Returns the passes of the rule whose hand-written step is called `rule`. Each pass must finish the whole
/// model before the next begins. They are the same on every device. Throws std::logic_error for an unknown
/// rule.
std::span<const UnfusedPass> unfused_passes(std::string_view rule);

/// Makes OpenBLAS run on the calling thread only, because the caller divides the work. Call it once before
/// any pass.
void leave_blas_single_threaded();

}  // namespace onepass::bench
