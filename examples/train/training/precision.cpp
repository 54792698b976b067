// precision.cpp - the table of precisions.
#include "training/precision.hpp"

#include <fmt/format.h>

#include <algorithm>
#include <array>

#include "errors.hpp"

namespace train {
namespace {

using enum onepass::DType;
using onepass::Master;
using onepass::States;

constexpr std::string_view kRounds = "bf16";  // the only precision whose steps round the parameters

constexpr std::array kKinds{
    PrecisionKind{"f32", "everything in float32", float32},
    PrecisionKind{kRounds, "parameters and gradients in bfloat16, states in float32", bfloat16},
    PrecisionKind{"bf16-master", "bf16, and a float32 copy of the parameters", bfloat16, Master::float32},
    PrecisionKind{"bf16-split", "bf16, and the 16 bits that make each parameter a float32", bfloat16,
                  Master::split},
    PrecisionKind{"compact", "bf16, 8 more bits for each parameter, and states in 8 bits", bfloat16,
                  Master::remainder8, States::quantized8},
};

}  // namespace

std::span<const PrecisionKind> precision_kinds() { return kKinds; }

const PrecisionKind* find_precision(std::string_view name) {
  const auto found = std::ranges::find(kKinds, name, &PrecisionKind::name);
  return found == kKinds.end() ? nullptr : &*found;
}

const PrecisionKind& precision_of(const Settings& settings) {
  const PrecisionKind* kind = find_precision(settings.precision);
  if (kind == nullptr) throw UsageError(fmt::format("there is no precision '{}'", settings.precision));
  if (settings.rounding != onepass::Rounding::nearest && kind->name != kRounds) {
    throw UsageError(
        fmt::format("--rounding stochastic needs --precision {}, where steps round the parameters "
                    "themselves, but --precision is {}",
                    kRounds, settings.precision));
  }
  return *kind;
}

onepass::Storage storage_of(const Settings& settings) {
  const PrecisionKind& kind = precision_of(settings);
  return {.master = kind.master, .states = kind.states, .rounding = settings.rounding};
}

}  // namespace train
