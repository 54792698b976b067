#include "host/checkpoint/document.hpp"

#include <algorithm>
#include <array>
#include <bit>
#include <cmath>
#include <span>
#include <string_view>
#include <unordered_set>
#include <utility>

#include "host/check/check_parameters.hpp"
#include "host/check/check_tensor.hpp"
#include "host/check/sentence.hpp"
#include "host/checkpoint/json.hpp"
#include "host/optimizer/memory/storage_layout.hpp"

namespace onepass::checkpoint {
namespace {

/// A change of what an older program would read wrongly raises it.
constexpr std::int64_t kVersion = 1;

constexpr const char* kNone = "none";  ///< The type of a moving average that a parameter has not.

constexpr std::array kDTypes{DType::float32, DType::bfloat16, DType::float16};
constexpr std::array kMasters{Master::none, Master::float32, Master::split, Master::remainder8};
constexpr std::array kStates{States::float32, States::bfloat16, States::quantized8};

double finite(double value, const char* what) {
  if (!std::isfinite(value))
    refuse_content(std::string(what) + " is " + number(value) + " and cannot be saved");
  return value;
}

Json list_of(std::span<const double> numbers) {
  Json list = Json::array();
  for (const double one : numbers) list.push_back(finite(one, "a number of a schedule"));
  return list;
}

Json to_json(const schedule::Segment& segment) {
  return {{"kind", static_cast<std::int32_t>(segment.kind)},
          {"stage", segment.stage},
          {"begin", segment.begin},
          {"first_number", segment.first_number},
          {"number_count", segment.number_count},
          {"parameters", list_of(segment.parameters)}};
}

Json to_json(const Schedule& schedule) {
  Json segments = Json::array();
  for (const schedule::Segment& one : schedule.segments()) segments.push_back(to_json(one));
  return {{"segments", segments}, {"numbers", list_of(schedule.numbers())}};
}

Json to_json(const SavedGroup& group, const Schedule& schedule) {
  Json hyperparameters = Json::object();
  for (const SavedHyperparameter& one : group.hyperparameters) hyperparameters[one.name] = one.value;
  return {{"rule", group.rule}, {"hyperparameters", hyperparameters}, {"schedule", to_json(schedule)}};
}

/// A number that is not finite has its bits in place of a value, because JSON has no such numbers.
Json to_json(const ScalarRecord& scalar) {
  if (std::isfinite(scalar.value)) return {{"name", scalar.name}, {"value", scalar.value}};
  return {{"name", scalar.name}, {"bits", std::bit_cast<std::uint64_t>(scalar.value)}};
}

Json to_json(const PieceRecord& piece) {
  Json states = Json::array();
  for (const StateRecord& one : piece.states) {
    Json& state = states.emplace_back(Json{{"name", one.name}, {"nonnegative", one.is_nonnegative}});
    if (one.format != piece.format.states) state["format"] = to_string(one.format);
  }
  Json json{{"name", piece.name},
            {"first", piece.first},
            {"numel", piece.numel},
            {"group", piece.group},
            {"step", piece.step},
            {"accumulated", piece.accumulated},
            {"dtype", to_string(piece.format.param)},
            {"master", to_string(piece.format.master)},
            {"state_format", to_string(piece.format.states)},
            {"states", states},
            {"ema", piece.ema ? to_string(*piece.ema) : kNone}};
  if (piece.run != 0) json["run"] = piece.run, json["pitch"] = piece.pitch;
  if (piece.is_slow) json["slow"] = true;
  for (const ScalarRecord& one : piece.scalars) json["scalars"].push_back(to_json(one));
  for (const LineRecord& one : piece.lines) {
    json["lines"].push_back(Json{{"name", one.name}, {"numel", one.numel}});
  }
  return json;
}

Json to_json(const OptimizerRecord& record) {
  const StateDict& dict = record.settings;
  Json groups = Json::array(), pieces = Json::array();
  for (std::size_t group = 0; group < dict.groups.size(); ++group) {
    groups.push_back(to_json(dict.groups[group], dict.schedules[group]));
  }
  for (const PieceRecord& one : record.pieces) pieces.push_back(to_json(one));
  return {{"groups", groups},
          {"steps", dict.steps},
          {"skipped_steps", dict.skipped_steps},
          {"micro_batches", dict.micro_batches},
          {"accumulated_weight", finite(dict.accumulated_weight, "the weight of accumulated micro-batches")},
          {"window_scale", finite(dict.window_scale, "the loss scale of accumulated gradients")},
          {"dropped_micro_batches", dict.dropped_micro_batches},
          {"dropped_since_step", dict.dropped_since_step},
          {"loss_scale", finite(dict.loss_scale, "the loss scale")},
          {"growth_tracker", dict.growth_tracker},
          {"seed", dict.seed},
          {"parameters", pieces}};
}

/// Returns the value that has this name.
template <class Value, std::size_t kCount>
Value named(const std::string& name, const std::string& place, const std::array<Value, kCount>& values) {
  std::string names;
  for (const Value value : values) {
    if (name == to_string(value)) return value;
    names += (names.empty() ? "" : ", ") + std::string(to_string(value));
  }
  refuse_content(place + " must be one of " + names + ", but is " + onepass::quoted(name));
}

/// Returns the value whose name the member is.
template <class Value, std::size_t kCount>
Value named(Fields& fields, const char* member, const std::array<Value, kCount>& values) {
  return named(fields.text(member), fields.place_of(member), values);
}

std::vector<double> numbers_of(Fields& fields, const char* member) {
  std::vector<double> numbers;
  for (const Json& one : fields.list(member)) {
    if (!one.is_number()) refuse_content(fields.place_of(member) + " must be a list of numbers");
    numbers.push_back(one.get<double>());
  }
  return numbers;
}

schedule::Segment segment_of(const Json& json, const std::string& place) {
  Fields fields(json, place);
  schedule::Segment segment;
  const auto small = [&](const char* name) {
    const std::int64_t value = fields.whole(name);
    if (value < 0 || value > 0x7fffffff) refuse_content(fields.place_of(name) + " is out of range");
    return static_cast<std::int32_t>(value);
  };
  segment.kind = schedule::Kind{small("kind")};
  segment.stage = small("stage");
  segment.begin = fields.whole("begin");
  segment.first_number = fields.whole("first_number");
  segment.number_count = fields.whole("number_count");
  const std::vector<double> parameters = numbers_of(fields, "parameters");
  if (parameters.size() != std::size(segment.parameters)) {
    refuse_content(fields.place_of("parameters") + " must have " +
                   std::to_string(std::size(segment.parameters)) + " numbers");
  }
  std::copy(parameters.begin(), parameters.end(), segment.parameters);
  fields.finish();
  return segment;
}

/// "optimizers[0].groups[2]"
std::string element(const std::string& list, std::size_t index) {
  return list + "[" + std::to_string(index) + "]";
}

Schedule schedule_of(const Json& json, const std::string& place) {
  Fields fields(json, place);
  std::vector<schedule::Segment> segments;
  for (const Json& one : fields.list("segments")) {
    segments.push_back(segment_of(one, element(fields.place_of("segments"), segments.size())));
  }
  const std::vector<double> numbers = numbers_of(fields, "numbers");
  fields.finish();
  return {segments, numbers};
}

void add_group(StateDict& dict, const Json& json, const std::string& place) {
  Fields fields(json, place);
  SavedGroup group{.rule = fields.text("rule"), .hyperparameters = {}};
  const Json& hyperparameters = fields.take("hyperparameters");
  Fields members(hyperparameters, fields.place_of("hyperparameters"));
  for (const auto& [name, value] : hyperparameters.items()) {
    group.hyperparameters.push_back({name, members.text(name.c_str())});
  }
  members.finish();
  dict.groups.push_back(std::move(group));
  dict.schedules.push_back(schedule_of(fields.take("schedule"), fields.place_of("schedule")));
  fields.finish();
}

/// `of_parameter`: the format of states that name none of their own, which can be float32 alone.
std::vector<StateRecord> states_of(Fields& fields, States of_parameter) {
  std::vector<StateRecord> states;
  for (const Json& one : fields.list("states")) {
    Fields members(one, element(fields.place_of("states"), states.size()));
    states.push_back({members.text("name"), members.flag("nonnegative"), of_parameter});
    if (members.has("format")) {
      states.back().format = named(members, "format", std::array{States::float32});
    }
    members.finish();
  }
  return states;
}

/// Refuses a number of elements that no tensor has.
void check_numel(const Fields& fields, std::int64_t numel) {
  if (numel >= 0 && numel <= kMostElements) return;
  refuse_content(fields.place_of("numel") + " is " + std::to_string(numel) +
                 ", but it must lie in [0, 2^53]");
}

std::vector<ScalarRecord> scalars_of(Fields& fields) {
  std::vector<ScalarRecord> scalars;
  if (!fields.has("scalars")) return scalars;
  for (const Json& one : fields.list("scalars")) {
    Fields members(one, element(fields.place_of("scalars"), scalars.size()));
    const double value =
        members.has("bits") ? std::bit_cast<double>(members.natural("bits")) : members.number("value");
    scalars.push_back({members.text("name"), value});
    members.finish();
  }
  return scalars;
}

std::vector<LineRecord> lines_of(Fields& fields) {
  std::vector<LineRecord> lines;
  if (!fields.has("lines")) return lines;
  for (const Json& one : fields.list("lines")) {
    Fields members(one, element(fields.place_of("lines"), lines.size()));
    lines.push_back({members.text("name"), members.whole("numel")});
    check_numel(members, lines.back().numel);
    members.finish();
  }
  return lines;
}

/// Refuses a place in the logical tensor that no shard has.
void check_place(const Fields& fields, const PieceRecord& piece) {
  check_numel(fields, piece.numel);
  onepass::check_place({.name = piece.name,
                        .value = {nullptr, DType::float32, piece.numel},
                        .first = piece.first,
                        .run = piece.run,
                        .pitch = piece.pitch});
}

PieceRecord piece_of(const Json& json, const std::string& place) {
  Fields fields(json, place);
  PieceRecord piece{.name = fields.text("name"),
                    .first = fields.whole("first"),
                    .numel = fields.whole("numel"),
                    .run = fields.has("run") ? fields.whole("run") : 0,
                    .pitch = fields.has("pitch") ? fields.whole("pitch") : 0,
                    .group = fields.whole("group"),
                    .step = fields.whole("step"),
                    .accumulated = fields.whole("accumulated"),
                    .format = {.param = named(fields, "dtype", kDTypes),
                               .master = named(fields, "master", kMasters),
                               .states = named(fields, "state_format", kStates)},
                    .states = {},
                    .ema = {}};
  piece.states = states_of(fields, piece.format.states);
  piece.scalars = scalars_of(fields);
  piece.lines = lines_of(fields);
  const std::string ema = fields.text("ema");
  if (ema != kNone) piece.ema = named(ema, fields.place_of("ema"), kDTypes);
  if (fields.has("slow")) piece.is_slow = fields.flag("slow");
  fields.finish();
  check_place(fields, piece);
  return piece;
}

OptimizerRecord optimizer_of(const Json& json, const std::string& place) {
  Fields fields(json, place);
  OptimizerRecord record;
  StateDict& dict = record.settings;
  for (const Json& one : fields.list("groups")) {
    add_group(dict, one, element(fields.place_of("groups"), dict.groups.size()));
  }
  if (dict.groups.empty()) refuse_content(fields.place_of("groups") + " must not be empty");
  dict.steps = fields.whole("steps");
  dict.skipped_steps = fields.whole("skipped_steps");
  dict.micro_batches = fields.whole("micro_batches");
  dict.accumulated_weight = fields.number("accumulated_weight");
  dict.window_scale = static_cast<float>(fields.number("window_scale"));
  dict.dropped_micro_batches = fields.whole("dropped_micro_batches");
  dict.dropped_since_step = fields.whole("dropped_since_step");
  dict.loss_scale = static_cast<float>(fields.number("loss_scale"));
  dict.growth_tracker = fields.whole("growth_tracker");
  dict.seed = fields.natural("seed");
  for (const Json& one : fields.list("parameters")) {
    record.pieces.push_back(piece_of(one, element(fields.place_of("parameters"), record.pieces.size())));
  }
  fields.finish();
  for (const auto& [name, value] : json.items()) {
    if (name != "parameters") record.texts.push_back({name, value.dump()});
  }
  return record;
}

void check_names(const Document& document) {
  std::unordered_set<std::string_view> names;
  for (const OptimizerRecord& optimizer : document.optimizers) {
    for (const PieceRecord& piece : optimizer.pieces) {
      if (!names.insert(piece.name).second)
        refuse_content("it has the parameter " + onepass::quoted(piece.name) + " twice");
    }
  }
}

}  // namespace

std::string to_text(const Document& document) {
  try {
    Json optimizers = Json::array();
    for (const OptimizerRecord& one : document.optimizers) optimizers.push_back(to_json(one));
    const Json json{{"version", kVersion}, {"parameters", document.has_values}, {"optimizers", optimizers}};
    return json.dump();
  } catch (const nlohmann::json::exception&) {
    refuse_content("a name of a parameter, a state or a rule is no UTF-8");
  }
}

Document parse_document(const std::string& text) {
  const Json json = parse(text, "\"onepass\" in its metadata");
  Fields fields(json, "\"onepass\"");
  const std::int64_t version = fields.whole("version");
  if (version != kVersion) {
    refuse_content("it has version " + std::to_string(version) +
                   " of the layout, but this program reads version " + std::to_string(kVersion));
  }
  Document document{.has_values = fields.flag("parameters"), .optimizers = {}};
  for (const Json& one : fields.list("optimizers")) {
    document.optimizers.push_back(optimizer_of(one, element("optimizers", document.optimizers.size())));
  }
  fields.finish();
  check_names(document);
  return document;
}

}  // namespace onepass::checkpoint
