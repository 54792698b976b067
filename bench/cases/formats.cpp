// formats.cpp - the table of measured storage formats.
#include "bench/cases/formats.hpp"

#include <array>
#include <stdexcept>
#include <string>
#include <utility>

#include "bench/limit/traffic.hpp"
#include "onepass/storage/formats.hpp"

namespace onepass::bench {
namespace {

constexpr DType kFloat32 = DType::float32, kBFloat16 = DType::bfloat16, kFloat16 = DType::float16;
constexpr Storage kRounded{.rounding = Rounding::stochastic};
constexpr Storage kAllBFloat16{.states = States::bfloat16};
constexpr Storage kAllBFloat16Rounded{.states = States::bfloat16, .rounding = Rounding::stochastic};
constexpr Storage kMaster{.master = Master::float32};
constexpr Storage kSplit{.master = Master::split};
constexpr Storage kEightBits{.states = States::quantized8};
constexpr Storage kCompact{.master = Master::remainder8, .states = States::quantized8};

constexpr std::array kChoices{
    FormatChoice{"f32", kFloat32, kFloat32, {}, ""},
    FormatChoice{"bf16", kBFloat16, kBFloat16, {}, "f32"},
    FormatChoice{"bf16_f32grad", kBFloat16, kFloat32, {}, "f32"},
    FormatChoice{"bf16_stochastic", kBFloat16, kBFloat16, kRounded, "bf16"},
    FormatChoice{"all_bf16", kBFloat16, kBFloat16, kAllBFloat16, "f32"},
    FormatChoice{"all_bf16_stochastic", kBFloat16, kBFloat16, kAllBFloat16Rounded, "all_bf16"},
    FormatChoice{"bf16_master", kBFloat16, kBFloat16, kMaster, "f32"},
    FormatChoice{"bf16_split", kBFloat16, kBFloat16, kSplit, "f32"},
    FormatChoice{"compact", kBFloat16, kBFloat16, kCompact, "f32"},
    FormatChoice{"f16_master", kFloat16, kFloat16, kMaster, "f32"},
    FormatChoice{"f32_q8", kFloat32, kFloat32, kEightBits, "f32"}};

template <std::size_t... kFormat>
std::size_t index_of(const storage::FormatName& name, std::index_sequence<kFormat...>) {
  std::size_t found = sizeof...(kFormat);
  ((storage::FormatAt<kFormat>::kName == name ? (found = kFormat) : found), ...);
  return found;
}

}  // namespace

std::span<const FormatChoice> format_choices() { return kChoices; }

std::size_t format_index(const FormatChoice& format) {
  const storage::FormatName name{format.param, format.storage.master, format.storage.states};
  const std::size_t index = index_of(name, std::make_index_sequence<kMeasuredFormats>{});
  if (index == kMeasuredFormats) {
    throw std::logic_error("onepass_bench: does not measure format " + std::string(format.name));
  }
  return index;
}

}  // namespace onepass::bench
