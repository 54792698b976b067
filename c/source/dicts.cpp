// dicts.cpp - state dicts: read and built member by member.
#include <utility>

#include "c/source/convert.hpp"

namespace onepass::c {
namespace {

const StateDict& dict_of(const onepass_dict* handle) {
  require(handle, "dict");
  return handle->dict;
}
StateDict& dict_of(onepass_dict* handle) {
  require(handle, "dict");
  return handle->dict;
}

onepass_dict_counts counts_of(const StateDict& dict) {
  return {.size = sizeof(onepass_dict_counts),
          .loss_scale = dict.loss_scale,
          .steps = dict.steps,
          .skipped_steps = dict.skipped_steps,
          .micro_batches = dict.micro_batches,
          .accumulated_weight = dict.accumulated_weight,
          .dropped_micro_batches = dict.dropped_micro_batches,
          .dropped_since_step = dict.dropped_since_step,
          .growth_tracker = dict.growth_tracker,
          .seed = dict.seed,
          .window_scale = dict.window_scale,
          .reserved = 0,
          .group_count = static_cast<std::int64_t>(dict.groups.size()),
          .schedule_count = static_cast<std::int64_t>(dict.schedules.size()),
          .parameter_count = static_cast<std::int64_t>(dict.parameters.size())};
}

void set_counts(StateDict& dict, const onepass_dict_counts& c) {
  dict.loss_scale = c.loss_scale;
  dict.steps = c.steps;
  dict.skipped_steps = c.skipped_steps;
  dict.micro_batches = c.micro_batches;
  dict.accumulated_weight = c.accumulated_weight;
  dict.dropped_micro_batches = c.dropped_micro_batches;
  dict.dropped_since_step = c.dropped_since_step;
  dict.growth_tracker = c.growth_tracker;
  dict.seed = c.seed;
  dict.window_scale = c.window_scale;
}

std::vector<std::byte> bytes_of(const void* bytes, const char* name, std::int64_t count) {
  const auto all = array_of(static_cast<const std::byte*>(bytes), name, count, "byte_count");
  return {all.begin(), all.end()};
}

SavedState state_of(const onepass_saved_state& c) {
  require(c.name, "the name of a state");
  return {.name = c.name, .dtype = dtype_of(c.dtype), .bytes = bytes_of(c.bytes, "bytes", c.byte_count)};
}

SavedParameter parameter_of(const onepass_saved_parameter& c, const onepass_saved_state* states) {
  require(c.name, "the name of a parameter");
  SavedParameter own{.name = c.name,
                     .step = c.step,
                     .states = {},
                     .accumulated = c.accumulated,
                     .gradient_sum = bytes_of(c.gradient_sum, "gradient_sum", c.gradient_sum_bytes)};
  for_each_struct(states, c.state_count, {"states", "onepass_saved_state", "state_count"},
                  [&](const onepass_saved_state& one, std::size_t) { own.states.push_back(state_of(one)); });
  return own;
}

}  // namespace
}  // namespace onepass::c

using namespace onepass::c;  // NOLINT: every function below is one of the interface

extern "C" {

int onepass_state_dict(const onepass_optimizer* optimizer, void* stream, onepass_dict** dict) {
  return guarded([&] {
    write_handle(dict, "dict",
                 [&] { return new onepass_dict{optimizer_of(optimizer).state_dict(stream_of(stream))}; });
  });
}

int onepass_dict_create(onepass_dict** dict) {
  return guarded([&] { write_handle(dict, "dict", [] { return new onepass_dict{}; }); });
}

void onepass_dict_destroy(onepass_dict* dict) { delete dict; }

int onepass_dict_get_counts(const onepass_dict* dict, onepass_dict_counts* counts) {
  return guarded([&] { write_struct(counts_of(dict_of(dict)), counts, "onepass_dict_counts"); });
}

int onepass_dict_set_counts(onepass_dict* dict, const onepass_dict_counts* counts) {
  return guarded([&] { set_counts(dict_of(dict), struct_of(counts, "onepass_dict_counts")); });
}

int onepass_dict_group(const onepass_dict* dict, int64_t group, const char** rule, int64_t* count) {
  return guarded([&] {
    const auto& own = at(dict_of(dict).groups, "group", group);
    require(rule, "rule");
    require(count, "count");
    *rule = own.rule.c_str();
    *count = static_cast<std::int64_t>(own.hyperparameters.size());
  });
}

int onepass_dict_hyperparameter(const onepass_dict* dict, int64_t group, int64_t index, onepass_text* text) {
  return guarded([&] {
    const auto& own = at(dict_of(dict).groups, "group", group);
    const auto& one = at(own.hyperparameters, "a hyperparameter's index", index);
    write(text, "text", {.name = one.name.c_str(), .text = one.value.c_str()});
  });
}

int onepass_dict_add_group(onepass_dict* dict, const char* rule, const onepass_text* hyperparameters,
                           int64_t count) {
  return guarded([&] {
    onepass::StateDict& own = dict_of(dict);
    require(rule, "rule");
    onepass::SavedGroup group{.rule = rule, .hyperparameters = {}};
    for (const onepass_text& one : array_of(hyperparameters, "hyperparameters", count, "count")) {
      require(one.name, "the name of a hyperparameter");
      require(one.text, "the text of a hyperparameter");
      group.hyperparameters.push_back({one.name, one.text});
    }
    own.groups.push_back(std::move(group));
  });
}

int onepass_dict_add_schedule(onepass_dict* dict, const onepass_schedule* schedule) {
  return guarded([&] {
    require(schedule, "schedule");
    dict_of(dict).schedules.push_back(schedule->schedule);
  });
}

int onepass_dict_parameter(const onepass_dict* dict, int64_t index, onepass_saved_parameter* parameter) {
  return guarded([&] {
    const auto& own = at(dict_of(dict).parameters, "a parameter's index", index);
    write_struct({.size = sizeof(onepass_saved_parameter),
                  .reserved = 0,
                  .name = own.name.c_str(),
                  .step = own.step,
                  .state_count = static_cast<std::int64_t>(own.states.size()),
                  .accumulated = own.accumulated,
                  .gradient_sum = own.gradient_sum.empty() ? nullptr : own.gradient_sum.data(),
                  .gradient_sum_bytes = static_cast<std::int64_t>(own.gradient_sum.size())},
                 parameter, "onepass_saved_parameter");
  });
}

int onepass_dict_state(const onepass_dict* dict, int64_t parameter, int64_t index,
                       onepass_saved_state* state) {
  return guarded([&] {
    const auto& of = at(dict_of(dict).parameters, "a parameter's index", parameter);
    const auto& own = at(of.states, "a state's index", index);
    write_struct({.size = sizeof(onepass_saved_state),
                  .dtype = static_cast<std::int32_t>(own.dtype),
                  .name = own.name.c_str(),
                  .bytes = own.bytes.data(),
                  .byte_count = static_cast<std::int64_t>(own.bytes.size())},
                 state, "onepass_saved_state");
  });
}

int onepass_dict_add_parameter(onepass_dict* dict, const onepass_saved_parameter* parameter,
                               const onepass_saved_state* states) {
  return guarded([&] {
    onepass::StateDict& own = dict_of(dict);
    own.parameters.push_back(parameter_of(struct_of(parameter, "onepass_saved_parameter"), states));
  });
}

}  // extern "C"
