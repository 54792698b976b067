#include "host/optimizer/memory/storage_layout.hpp"

#include <algorithm>
#include <array>
#include <functional>
#include <string>

#include "host/backend/axis_plan.hpp"
#include "host/check/sentence.hpp"
#include "step/table.hpp"

namespace onepass {
namespace {

using storage::FormatName;
using storage::kFormatNames;

/// Returns what there is for parameters of a type: "master none, float32 with states float32, bfloat16". Each
/// master goes with each kind of states.
std::string formats_there(DType param) {
  const auto listed = [&](const auto& kinds, auto member) {
    std::string list;
    for (const auto kind : kinds) {
      const auto has = [&](const FormatName& name) { return name.param == param && name.*member == kind; };
      if (std::ranges::any_of(kFormatNames, has))
        list += (list.empty() ? "" : ", ") + std::string(to_string(kind));
    }
    return list;
  };
  constexpr std::array kMasters{Master::none, Master::float32, Master::split, Master::remainder8};
  constexpr std::array kStates{States::float32, States::bfloat16, States::quantized8};
  return std::string("for ") + onepass::to_string(param) + " there are master " +
         listed(kMasters, &FormatName::master) + " with states " + listed(kStates, &FormatName::states);
}

bool has_16_bits(const Parameter& parameter) { return parameter.value.dtype != DType::float32; }

}  // namespace

const char* to_string(Master master) {
  constexpr std::array kText{"none", "float32", "split", "remainder8"};
  return kText[static_cast<std::size_t>(master)];
}

const char* to_string(States states) {
  constexpr std::array kText{"float32", "bfloat16", "quantized8"};
  return kText[static_cast<std::size_t>(states)];
}

std::string to_string(const storage::FormatName& name) {
  return std::string(onepass::to_string(name.param)) + " with master " + to_string(name.master) +
         " and states " + to_string(name.states);
}

std::vector<StreamPart> StreamSpec::parts(const Shard& shard) const {
  std::vector<StreamPart> parts{{name, dtype, numel.value_or(shard.numel), false}};
  if (scales) parts.push_back({std::string(name) + ".scales", *scales, shard.scales(), true});
  return parts;
}

std::size_t StreamSpec::bytes(const Shard& shard) const {
  const std::vector<StreamPart> all = parts(shard);
  if (!scales) return all[0].bytes();
  return static_cast<std::size_t>(step::scales_at(shard.numel)) + all[1].bytes();
}

double StreamSpec::moved_bytes(const Shard& shard) const {
  double bytes = 0.0;
  for (const StreamPart& part : parts(shard)) bytes += static_cast<double>(part.bytes());
  return bytes;
}

Kept Kept::of(const Options& options) {
  const std::optional<EMA>& ema = options.ema;
  if (ema && !(ema->decay >= 0 && ema->decay <= 1)) {
    refuse("EMA.decay must lie in [0, 1], but is " + number(ema->decay));
  }
  if (ema && ema->warmup && ema->bias_correction) {
    refuse("EMA.warmup and EMA.bias_correction both change the weights of the first steps; set one of them");
  }
  if (ema && ema->dtype != DType::float32 && ema->dtype != DType::bfloat16) {
    refuse("EMA.dtype must be float32 or bfloat16, but is " + std::string(to_string(ema->dtype)));
  }
  const std::optional<Lookahead>& lookahead = options.lookahead;
  if (lookahead && lookahead->k < 1) {
    refuse("Lookahead.k must be at least 1, but is " + std::to_string(lookahead->k));
  }
  if (lookahead && !(static_cast<float>(lookahead->alpha) > 0.0f && lookahead->alpha <= 1.0)) {
    refuse("Lookahead.alpha must lie in (0, 1] in float32, but is " + number(lookahead->alpha));
  }
  return {ema, lookahead};
}

void check_slow(const Kept& kept, const Parameter& parameter, std::uint8_t format) {
  if (!kept.lookahead) return;
  const FormatName& stored = kFormatNames[format];
  if (stored.param == DType::float32 || stored.master == Master::float32 || stored.master == Master::split)
    return;
  refuse("Lookahead puts parameters where their slow weights are, in float32, but " + quoted(parameter.name) +
         " is " + to_string(stored) + "; use master float32" +
         (stored.param == DType::bfloat16 ? " or split" : ""));
}

void check_storage(const StorageChoice& storage, std::span<const Parameter> parameters) {
  const auto check = [&](const char* option, const Storage& asked, DType low, auto is_for) {
    if (asked.master == Master::none && asked.states == States::float32) return;
    if (std::ranges::any_of(parameters, is_for)) return;
    const bool wide = low == DType::float32;
    refuse(std::string(option) + " asks for master " + to_string(asked.master) + " and states " +
           to_string(asked.states) + ", but it is for " + (wide ? "float32" : "16-bit") +
           " parameters, and all are of " + (wide ? "16 bits: use storage" : "float32: use float32_storage") +
           " or Parameter::storage; " + formats_there(wide ? DType::bfloat16 : DType::float32));
  };
  check("storage", storage.sixteen_bits, DType::bfloat16, has_16_bits);
  check("float32_storage", storage.float32, DType::float32, std::not_fn(has_16_bits));
}

std::uint8_t format_of(const Parameter& parameter, const Storage& storage) {
  const DType dtype = parameter.value.dtype;
  const FormatName wanted{dtype, storage.master, storage.states};
  const auto found = std::ranges::find(kFormatNames, wanted);
  if (found != kFormatNames.end()) return static_cast<std::uint8_t>(found - kFormatNames.begin());
  refuse(quoted(parameter.name) + " asks for " + to_string(wanted) + ", which there is not; " +
         formats_there(dtype));
}

const FormatName& format_name(std::uint8_t format) { return kFormatNames[format]; }

std::vector<StreamSpec> streams_of(std::uint8_t format, const VariantOps& variant, const Kept& kept,
                                   const rule::Matrices& matrices) {
  const FormatName& stored = kFormatNames[format];
  std::vector<StreamSpec> streams;
  for (std::size_t s = 0; s < variant.states.size(); ++s) {
    const storage::StateLayout layout = storage::layout_of(variant.storage_of(s, stored));
    StreamSpec& spec = streams.emplace_back(StreamSpec{variant.states[s], StreamRole::state, layout.element});
    if (layout.has_scales) spec.scales = layout.scale;
  }
  if (stored.master == Master::float32) streams.push_back({"master", StreamRole::remainder, DType::float32});
  if (stored.master == Master::split) streams.push_back({"remainder", StreamRole::remainder, DType::uint16});
  if (stored.master == Master::remainder8)
    streams.push_back({"remainder", StreamRole::remainder, DType::uint8});
  if (kept.ema) streams.push_back({"ema", StreamRole::ema, kept.ema->dtype});
  if (kept.lookahead) streams.push_back({"slow", StreamRole::slow, DType::float32});
  for (const char* const name : variant.scalars) {
    streams.push_back({name, StreamRole::scalar, DType::float64, {}, 1});
  }
  for (const rule::AxisState& state : variant.axes) {
    streams.push_back({state.name, StreamRole::line, DType::float32, {}, matrices.extent(state.axis)});
  }
  return streams;
}

StreamSpec line_sums_of(const VariantOps& variant, const rule::Matrices& matrices) {
  std::int64_t numbers = 0;
  for (const rule::AxisState& state : variant.axes) numbers += matrices.extent(state.axis);
  const AxisRoom room = AxisRoom::of(variant.axes.empty() ? rule::Matrices{} : matrices);
  return {
      "line_sums", StreamRole::sum, DType::float64, {}, room.row_sums + room.column_sums + (numbers + 1) / 2};
}

}  // namespace onepass
