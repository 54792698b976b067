// added_formats.hpp - formats that the library has not, as lines of onepass/storage/formats.hpp would add
// them, and the CPU loops that such a line would make.
#pragma once

#include <array>
#include <cstddef>
#include <tuple>

#include "host/cpu/cpu_rule.hpp"
#include "onepass/cpu.hpp"
#include "onepass/storage/formats.hpp"

namespace onepass::test {

/// A format, and its line as it is written.
template <class FormatOf>
struct AddedFormat {
  using Format = FormatOf;
  const char* line;
};
#define ONEPASS_ADDED(...) \
  AddedFormat<__VA_ARGS__> { #__VA_ARGS__ }

namespace added {

using namespace storage;  // what the lines see where they stand

/// Every codec of parameters, with and without a form of blocks in pairs beside ones that have it; every kind
/// of states.
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

/// The loops of one variant, one for each of the formats. Compiled as the library's, once for each
/// instruction set (tests/host/formats/added_formats.cpp.in).
using AddedSweeps = std::array<cpu::Sweep, kAddedCount>;
template <class Rule, class Variant, Isa kIsa>
const AddedSweeps& added_sweeps();

}  // namespace onepass::test
