// rule_ops.hpp - a rule as the core sees it: sizes and functions.
#pragma once

#include <array>
#include <cstddef>
#include <cstdint>
#include <optional>
#include <span>
#include <string_view>

#include "host/backend/cpu_rule.hpp"
#include "kernels/update/cuda_rule.hpp"
#include "onepass/rule/rule.hpp"
#include "step/table.hpp"

namespace onepass {

/// The functions that use the sums over rows and columns on the CPU (host/cpu/axes.hpp), by parts of
/// Table::axis_lines and Table::axis_matrices. Null if the variant has no such pass.
struct AxisOps {
  using OverParts = void (*)(const step::Table& table, std::int64_t first, std::int64_t last);

  OverParts move_lines = nullptr;
  OverParts make_numbers = nullptr;
};

/// One variant of a rule: its states, and its update on each backend.
struct VariantOps {
  /// Replaces the states of `count` elements; has an array for each state.
  using MapStates = void (*)(float* const* states, std::size_t count);

  std::span<const char* const> states;
  std::span<const char* const> state_names;    ///< Of elements, and then of rows and columns.
  unsigned nonnegative;                        ///< Bit i is set if state i is never negative.
  unsigned float32;                            ///< Bit i is set if state i is float32 in every format.
  std::span<const char* const> decays;         ///< The hyperparameter that decays each state, or null.
  std::span<const char* const> scalars;        ///< Of the rule: numbers that each tensor carries.
  unsigned measured;                           ///< The streams that the rule's sums read (rule/sums.hpp).
  std::span<const rule::AxisState> axes = {};  ///< States of rows and columns (rule/axes.hpp).
  std::array<unsigned, 2> axis_streams = {};   ///< The streams that each of its passes reads.
  std::array<AxisOps, 2> cpu_axes = {};
  /// Formats with less than 32 bits store other numbers than the states (rule/concept.hpp): compress() makes
  /// them of the states, and expand() the states of them. Both are null if such formats store the states.
  MapStates compress = nullptr;
  MapStates expand = nullptr;
  std::array<const cpu::VariantLoops*, 4> cpu_loops{};  ///< By Isa; null if this build has none.
  kernels::CudaUpdates cuda{};                          ///< Null functions if this build has no CUDA.
  kernels::CudaLaunch cuda_measure{};                   ///< Also null if the rule takes no sums.
  std::array<kernels::CudaAxes, 2> cuda_axes{};         ///< By pass.

  [[nodiscard]] bool is_nonnegative(std::size_t state) const { return (nonnegative >> state & 1u) != 0; }
  [[nodiscard]] bool is_float32(std::size_t state) const { return (float32 >> state & 1u) != 0; }
  /// Returns how a format stores a state.
  [[nodiscard]] States storage_of(std::size_t state, const storage::FormatName& format) const {
    return is_float32(state) ? States::float32 : format.states;
  }
  /// Returns whether the variant has a pass over rows and columns of this number.
  [[nodiscard]] bool has_axis_pass(std::size_t pass) const { return axis_streams[pass] != 0; }
  /// Returns whether both have the same loops and kernels, as Adam and AdamW do.
  [[nodiscard]] bool updates_like(const VariantOps& other) const { return cpu_loops == other.cpu_loops; }
};

/// A pass over the streams of a rule that is no step.
struct SweepOps {
  const char* name;
  VariantOps variant;
};

/// The functions through which the core uses a rule. rule_ops<R>() returns them; it is declared in
/// onepass/rule/rule.hpp and defined in generated files only, one for each rule: onepass_add_rule()
/// (cmake/OnepassRule.cmake) makes them from host/rule/rule.cpp.in. The functions take a rule as the bytes
/// of the rule struct, which need not be aligned.
struct RuleOps {
  const char* name;
  std::size_t rule_bytes;
  std::size_t coefficient_bytes;  ///< Size of the coefficients of one tensor.
  std::span<const Hyperparameter> hyperparameters;
  std::span<const Preset> presets;
  unsigned matrix_bit;  ///< The bit of variants that are for matrices; 0 if there is none.
  unsigned switchable;  ///< Bits of the variant that may change after construction (rule/concept.hpp).
  unsigned (*variant)(const std::byte* rule);
  void (*check)(const std::byte* rule);       ///< Checks what the ranges of single hyperparameters do not.
  bool (*takes_sums)(const std::byte* rule);  ///< Returns whether steps take sums over tensors.
  /// Returns whether all coefficients of all steps are finite, with the rates in place of the rule's own.
  bool (*has_finite_coefficients)(const std::byte* rule, const Rates& rates);
  step::Penalty (*penalty)(const std::byte* rule);
  /// The variant that the rule needs if a schedule drives its momentum; nothing if it has no momentum.
  std::optional<unsigned> (*driven_variant)(const std::byte* rule);
  /// Prepares a step of the tensors of Table::prepares on the CPU (host/cpu/prepare.hpp).
  void (*cpu_prepare)(const step::Table& table);
  /// The kernel that does the same (kernels/update/prepare.cuh); null functions if this build has no CUDA.
  kernels::CudaLaunch cuda_prepare;
  /// Complete the coefficients with the sums over tensors; null if the rule takes none.
  void (*cpu_finish)(const step::Table& table);
  kernels::CudaLaunch cuda_finish;
  bool sums_over_model;                  ///< The rule's sums run over all its tensors.
  std::span<const VariantOps> variants;  ///< In the order of the rule's Variants.
  std::span<const SweepOps> sweeps;

  /// Returns the sweep of this name, or null.
  [[nodiscard]] const SweepOps* sweep(std::string_view wanted) const {
    for (const SweepOps& one : sweeps) {
      if (one.name == wanted) return &one;
    }
    return nullptr;
  }

  /// Returns whether a rule that needs `wanted` can run as the variant `present`.
  [[nodiscard]] bool runs_as(unsigned wanted, unsigned present) const {
    return (wanted & ~present) == 0 && (present & ~wanted & ~switchable) == 0;
  }
};

}  // namespace onepass
