#include "host/storage_layout.hpp"

#include <algorithm>
#include <array>
#include <string>
#include <utility>

#include "host/sentence.hpp"
#include "kernels/table.hpp"

namespace onepass {
namespace {

using storage::FormatName;

template <std::size_t... kFormat>
constexpr std::array<FormatName, sizeof...(kFormat)> names_of(std::index_sequence<kFormat...>) {
  return {storage::FormatAt<kFormat>::kName...};
}

constexpr std::array kNames = names_of(std::make_index_sequence<storage::kFormatCount>{});

const char* to_string(Master master) {
  constexpr std::array kText{"none", "float32", "split", "remainder8"};
  return kText[static_cast<std::size_t>(master)];
}

const char* to_string(States states) {
  constexpr std::array kText{"float32", "bfloat16", "quantized8"};
  return kText[static_cast<std::size_t>(states)];
}

std::string to_string(const FormatName& name) {
  return std::string(onepass::to_string(name.param)) + " with master " + to_string(name.master) +
         " and states " + to_string(name.states);
}

DType dtype_of(States states) {
  switch (states) {
    case States::bfloat16:
      return DType::bfloat16;
    case States::quantized8:
      return DType::uint8;
    default:
      return DType::float32;
  }
}

}  // namespace

std::size_t StreamSpec::bytes(std::int64_t numel) const {
  const auto count = static_cast<std::size_t>(numel);
  if (!grouped) return count * size_of(dtype);
  const std::size_t groups = (count + storage::kGroup - 1) / storage::kGroup;
  return static_cast<std::size_t>(kernels::scales_at(numel)) + groups * sizeof(std::uint16_t);
}

double StreamSpec::bytes_each() const {
  return static_cast<double>(size_of(dtype)) +
         (grouped ? static_cast<double>(sizeof(std::uint16_t)) / storage::kGroup : 0.0);
}

std::uint8_t format_of(const char* rule, const Parameter& parameter, const Storage& storage) {
  const DType dtype = parameter.value.dtype;
  const FormatName wanted = dtype == DType::float32 ? FormatName{dtype, Master::none, States::float32}
                                                    : FormatName{dtype, storage.master, storage.states};
  const auto found = std::ranges::find(kNames, wanted);
  if (found != kNames.end()) return static_cast<std::uint8_t>(found - kNames.begin());
  std::string there;
  for (const FormatName& name : kNames) there += (there.empty() ? "" : "; ") + to_string(name);
  refuse(rule, quoted(parameter.name) + " asks for " + to_string(wanted) +
                   ", which is not built; there are: " + there +
                   ". A line in onepass/storage/formats.hpp adds one");
}

const FormatName& format_name(std::uint8_t format) { return kNames[format]; }

std::vector<StreamSpec> streams_of(std::uint8_t format, std::span<const char* const> states,
                                   const std::optional<EMA>& ema) {
  const FormatName& stored = kNames[format];
  std::vector<StreamSpec> streams;
  for (const char* name : states) {
    streams.push_back(
        {name, StreamRole::state, dtype_of(stored.states), stored.states == States::quantized8});
  }
  if (stored.master == Master::float32)
    streams.push_back({"master", StreamRole::remainder, DType::float32, false});
  if (stored.master == Master::split)
    streams.push_back({"remainder", StreamRole::remainder, DType::uint16, false});
  if (stored.master == Master::remainder8)
    streams.push_back({"remainder", StreamRole::remainder, DType::uint8, false});
  if (ema) streams.push_back({"ema", StreamRole::ema, ema->dtype, false});
  return streams;
}

}  // namespace onepass
