// case.hpp - one measurement: a rule in a storage format on a model.
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
  Isa isa;  ///< Never Isa::best. Ignored on CUDA.
  int threads;
  Device device = Device::cpu();
  bool clips = false;  ///< The step also measures the norm of the gradients.

  /// "adamw f32 flat of 1000000, avx512, 2 threads, clipped"
  [[nodiscard]] std::string text() const;
  /// Returns true if baselines can be timed beside onepass: they exist in float32, for rules with a
  /// hand-written step.
  [[nodiscard]] bool has_baselines() const { return format->name == "f32" && rule->by_hand != nullptr; }
  /// Estimated bytes of memory for the model, the optimizer, both sides of the copy and the unfused step.
  [[nodiscard]] double memory() const;
};

/// Bytes of one side of the copy that is timed beside a step of `traffic` bytes: half of them, at most 256
/// MiB (2 GiB on CUDA), rounded down to a multiple of 64. The maximum is far beyond any cache and takes many
/// times as long as a launch.
std::size_t copied_bytes(double traffic, Device device);

}  // namespace onepass::bench
