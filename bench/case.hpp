// case.hpp - what is measured: one rule in one format on one model.
#pragma once

#include <string>

#include "bench/cases/formats.hpp"
#include "bench/cases/layouts.hpp"
#include "bench/cases/rules.hpp"
#include "onepass/cpu.hpp"
#include "onepass/device.hpp"

namespace onepass::bench {

/// Bytes of one side of the copy, at most: far beyond any cache.
inline constexpr double kMostCopied = 256.0 * 1024 * 1024;

struct Case {
  const RuleChoice* rule;
  const FormatChoice* format;
  Layout layout;
  Isa isa;  ///< Not Isa::best. Without meaning on CUDA.
  int threads;
  Device device = Device::cpu();

  /// "adamw f32 flat of 1000000, avx512, 2 threads"
  [[nodiscard]] std::string text() const;
  /// Bytes that it takes in memory, with all that is measured beside it. An estimate.
  [[nodiscard]] double memory() const;
};

}  // namespace onepass::bench
