// rule_ops.hpp - a rule as the core sees it: sizes and functions.
#pragma once

#include <array>
#include <cstddef>
#include <optional>
#include <span>

#include "host/backend/cpu_rule.hpp"
#include "kernels/update/cuda_rule.hpp"
#include "onepass/optimizer_core.hpp"
#include "step/table.hpp"

namespace onepass {

/// One variant of a rule: its states, and its update on each backend.
struct VariantOps {
  std::span<const char* const> states;
  std::array<const cpu::VariantLoops*, 4> cpu_loops{};  ///< By Isa; null if this build has none.
  kernels::CudaVariant cuda{};                          ///< Null functions if this build has no CUDA.
};

/// The functions through which the core uses a rule. rule_ops<Rule>() returns them; it is declared in
/// onepass/optimizer_core.hpp and defined in generated files only, one for each rule: onepass_add_rule()
/// (cmake/OnepassRule.cmake) makes them from host/rule/rule.cpp.in. The functions take a rule as the bytes
/// of the Rule object, which need not be aligned.
struct RuleOps {
  const char* name;
  std::size_t rule_bytes;
  std::size_t coefficient_bytes;  ///< Size of the coefficients of one tensor.
  unsigned (*variant)(const std::byte* rule);
  void (*check)(const std::byte* rule);
  step::Penalty (*penalty)(const std::byte* rule);
  double (*lr)(const std::byte* rule);
  /// The variant that the rule needs if a schedule drives its momentum; nothing if it has no momentum.
  std::optional<unsigned> (*driven_variant)(const std::byte* rule);
  /// Prepares a step on the CPU (host/cpu/prepare.hpp). The CUDA backend does not call it: it launches
  /// CudaVariant::prepare, a kernel that does the same (kernels/update/prepare.cuh).
  void (*prepare)(const step::Table& table);
  std::span<const VariantOps> variants;  ///< In the order of Rule::Variants.
};

}  // namespace onepass
