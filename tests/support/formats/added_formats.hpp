// added_formats.hpp - formats that the library does not build: the lines that would add them to
// onepass/storage/formats.hpp, and the CPU loops that those lines would generate.
#pragma once

#include <array>
#include <cstddef>
#include <tuple>

#include "host/backend/cpu_rule.hpp"
#include "onepass/cpu.hpp"
#include "onepass/storage/formats.hpp"

namespace onepass::test {

/// A format and the text of the line that adds it.
template <class FormatOf>
struct AddedFormat {
  using Format = FormatOf;
  const char* line;
};
#define ONEPASS_ADDED(...) \
  AddedFormat<__VA_ARGS__> { #__VA_ARGS__ }

namespace added {

using namespace storage;  // the lines are written for this namespace

/// Every parameter codec and every kind of state. Some codecs can hold a block in pairs in the CPU loops
/// (kHasPairs) and some cannot; several formats combine both kinds.
inline constexpr std::tuple kFormats{
    ONEPASS_ADDED(Format<Alone<BFloat16>, BFloat16, Quantized8, Master::none, States::quantized8>),
    ONEPASS_ADDED(Format<Alone<Float16>, Float16, Float32, Master::none, States::float32>),
    ONEPASS_ADDED(Format<Alone<Float16>, Float16, BFloat16, Master::none, States::bfloat16>),
    ONEPASS_ADDED(Format<WithMaster<Float16>, Float16, Quantized8, Master::float32, States::quantized8>),
    ONEPASS_ADDED(Format<SplitBFloat16, BFloat16, BFloat16, Master::split, States::bfloat16>),
    ONEPASS_ADDED(Format<BFloat16Remainder8, BFloat16, Float32, Master::remainder8, States::float32>),
    ONEPASS_ADDED(Format<BFloat16Remainder8, BFloat16, BFloat16, Master::remainder8, States::bfloat16>),
    ONEPASS_ADDED(Format<Float16Remainder8, Float16, Quantized8, Master::remainder8, States::quantized8>)};

}  // namespace added

inline constexpr std::size_t kAddedCount = std::tuple_size_v<decltype(added::kFormats)>;

template <std::size_t kAdded>
using AddedAt = typename std::tuple_element_t<kAdded, decltype(added::kFormats)>::Format;

/// The loops of one variant, one for each added format: fused with the rule, and in stages. They are compiled
/// like the library's, once for each instruction set (tests/host/formats/added_formats.cpp.in).
struct AddedLoops {
  std::array<cpu::UpdateLoop, kAddedCount> fused, staged;
};
template <class Rule, class Variant, Isa kIsa>
const AddedLoops& added_loops();

}  // namespace onepass::test
