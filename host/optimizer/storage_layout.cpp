#include "host/optimizer/storage_layout.hpp"

#include <algorithm>
#include <array>
#include <string>

#include "host/check/sentence.hpp"
#include "step/table.hpp"

namespace onepass {
namespace {

using storage::FormatName;
using storage::kFormatNames;

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

/// "bfloat16 with master none and states float32; ..."
std::string formats_there() {
  std::string there;
  for (const FormatName& name : kFormatNames) there += (there.empty() ? "" : "; ") + to_string(name);
  return there;
}

/// Returns the name of the codec of a 16-bit parameter in storage/; "" if there is no such codec.
std::string codec_of(DType param, Master master) {
  const std::string low = param == DType::bfloat16 ? "BFloat16" : "Float16";
  switch (master) {
    case Master::none:
      return "Alone<" + low + ">";
    case Master::float32:
      return "WithMaster<" + low + ">";
    case Master::split:
      return param == DType::bfloat16 ? "SplitBFloat16" : "";
    default:
      return low + "Remainder8";
  }
}

/// Returns advice for a format of 16-bit parameters that is not built.
std::string advice(const FormatName& name) {
  const std::string codec = codec_of(name.param, name.master);
  if (codec.empty()) return std::string("Nothing splits a ") + onepass::to_string(name.param);
  constexpr std::array kCodecs{"Float32", "BFloat16", "Quantized8"};
  return "This line in onepass/storage/formats.hpp adds it: Format<" + codec + ", " +
         (name.param == DType::bfloat16 ? "BFloat16, " : "Float16, ") +
         kCodecs[static_cast<std::size_t>(name.states)] + ", Master::" + to_string(name.master) +
         ", States::" + to_string(name.states) + ">";
}

bool has_16_bits(const Parameter& parameter) { return parameter.value.dtype != DType::float32; }

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
  if (!has_scales) return count * size_of(dtype);
  const std::size_t blocks = (count + storage::kBlock - 1) / storage::kBlock;
  return static_cast<std::size_t>(step::scales_at(numel)) + blocks * sizeof(std::uint16_t);
}

double StreamSpec::bytes_each() const {
  return static_cast<double>(size_of(dtype)) +
         (has_scales ? static_cast<double>(sizeof(std::uint16_t)) / storage::kBlock : 0.0);
}

void check_storage(const Storage& storage, std::span<const Parameter> registered,
                   std::span<const Parameter> added) {
  if (storage.master == Master::none && storage.states == States::float32) return;
  if (std::ranges::any_of(registered, has_16_bits) || std::ranges::any_of(added, has_16_bits)) return;
  refuse(std::string("storage asks for master ") + to_string(storage.master) + " and states " +
         to_string(storage.states) +
         ", which 16-bit parameters have, but all parameters are of float32: they are their own " +
         "master and keep float32 states; there are: " + formats_there());
}

std::uint8_t format_of(const Parameter& parameter, const Storage& storage) {
  const DType dtype = parameter.value.dtype;
  const FormatName wanted = dtype == DType::float32 ? FormatName{dtype, Master::none, States::float32}
                                                    : FormatName{dtype, storage.master, storage.states};
  const auto found = std::ranges::find(kFormatNames, wanted);
  if (found != kFormatNames.end()) return static_cast<std::uint8_t>(found - kFormatNames.begin());
  refuse(quoted(parameter.name) + " asks for " + to_string(wanted) +
         ", which is not built; there are: " + formats_there() + ". " + advice(wanted));
}

const FormatName& format_name(std::uint8_t format) { return kFormatNames[format]; }

std::vector<StreamSpec> streams_of(std::uint8_t format, std::span<const char* const> states,
                                   const std::optional<EMA>& ema) {
  const FormatName& stored = kFormatNames[format];
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
