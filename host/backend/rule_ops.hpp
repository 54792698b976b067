// rule_ops.hpp - a rule, as the core sees it: sizes and functions.
#pragma once

#include <array>
#include <cstddef>
#include <optional>
#include <span>

#include "host/cpu/cpu_rule.hpp"
#include "kernels/update/cuda_rule.hpp"
#include "onepass/optimizer_core.hpp"
#include "step/table.hpp"

namespace onepass {

/// One variant: its states, and its update on each backend.
struct VariantOps {
  std::span<const char* const> states;
  std::array<const cpu::VariantLoops*, 4> cpu_loops{};  ///< By Isa; null where this build has none.
  kernels::CudaVariant cuda{};                          ///< Null where this build has no CUDA.
};

struct RuleOps {
  const char* name;
  std::size_t rule_bytes;
  std::size_t coefficient_bytes;
  unsigned (*variant)(const std::byte* rule);
  void (*check)(const std::byte* rule);
  step::Penalty (*penalty)(const std::byte* rule);
  double (*lr)(const std::byte* rule);
  /// The variant that the rule needs where a schedule drives its momentum; nothing if it has none.
  std::optional<unsigned> (*driven_variant)(const std::byte* rule);
  void (*prepare)(const step::Table& table);  ///< On the CPU; the CUDA variants carry their own.
  std::span<const VariantOps> variants;
};

}  // namespace onepass
