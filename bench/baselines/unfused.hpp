// unfused.hpp - a step as one writes it without a fused kernel: BLAS level 1 and elementwise passes.
#pragma once

#include <algorithm>
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

/// What BLAS has, on the device where the streams are.
class Blas {
 public:
  virtual ~Blas() = default;
  virtual void scale(std::int64_t count, float factor, float* x) const = 0;                ///< x *= factor
  virtual void add(std::int64_t count, float factor, const float* x, float* y) const = 0;  ///< y += factor x

 protected:
  /// BLAS counts in int: work(first element, count) for pieces that fit one.
  template <class Work>
  static void in_pieces(std::int64_t count, const Work& work) {
    constexpr std::int64_t kMost = std::int64_t{1} << 30;
    for (std::int64_t at = 0; at < count; at += kMost) {
      work(at, static_cast<int>(std::min(kMost, count - at)));
    }
  }
};
/// OpenBLAS, on the thread that calls.
const Blas& open_blas();

struct UnfusedContext {
  const plain::Numbers& k;
  const Passes& passes;
  const Blas& blas = open_blas();
};

using UnfusedPass = void (*)(const UnfusedContext& context, const UnfusedPart& part);

/// The passes of a step of the rule called `rule`, each over the whole model before the next begins; the same
/// on every device. Throws std::logic_error if there is no such rule.
std::span<const UnfusedPass> unfused_passes(std::string_view rule);

/// Gives OpenBLAS's calls the thread that makes them: the caller divides the work. Once, before any pass.
void leave_blas_single_threaded();

}  // namespace onepass::bench
