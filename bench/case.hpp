// case.hpp - what is measured: one rule in one format on one model.
#pragma once

#include <cstddef>
#include <string>

#include "bench/cases/formats.hpp"
#include "bench/cases/layouts.hpp"
#include "bench/cases/rules.hpp"
#include "onepass/cpu.hpp"
#include "onepass/device.hpp"

namespace onepass::bench {

struct Case {
  const RuleChoice* rule;
  const FormatChoice* format;
  Layout layout;
  Isa isa;  ///< Not Isa::best. Without meaning on CUDA.
  int threads;
  Device device = Device::cpu();
  bool clips = false;  ///< The step measures the gradients' norm, too.

  /// "adamw f32 flat of 1000000, avx512, 2 threads, clipped"
  [[nodiscard]] std::string text() const;
  /// Bytes that it takes in memory, with all that is measured beside it. An estimate.
  [[nodiscard]] double memory() const;
};

/// Bytes of one side of the copy beside a step of `traffic` bytes: half of them, and no more than is far
/// beyond any cache and takes many times what a launch does; a multiple of 64.
std::size_t copied_bytes(double traffic, Device device);

}  // namespace onepass::bench
