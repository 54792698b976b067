// optimizer.cpp - makes optimizers, steps them, and changes their hyperparameters and memory.
#include <utility>

#include "c/source/convert.hpp"

namespace onepass::c {
namespace {

void set(onepass_optimizer* handle, std::int32_t group, std::span<const onepass_setting> settings,
         void* stream) {
  Optimizer& one = optimizer_of(handle);
  const std::size_t which = group_of(group);
  one.set_rule(changed(one.rule(which), settings), which, stream_of(stream));
}

const Rule& rule_of(const onepass_optimizer* handle, std::int32_t group) {
  return optimizer_of(handle).rule(group_of(group));
}

std::vector<std::string> names_of(const char* const* names, std::int64_t count) {
  std::vector<std::string> own;
  for (const char* name : array_of(names, "names", count, "count")) {
    require(name, "a name");
    own.emplace_back(name);
  }
  return own;
}

std::vector<Tensor> tensors_of(const onepass_tensor* tensors, std::int64_t count, Device device) {
  std::vector<Tensor> own;
  for_each_struct(tensors, count, {"gradients", "onepass_tensor", "count"},
                  [&](const onepass_tensor& one, std::size_t) { own.push_back(tensor_of(one, device)); });
  return own;
}

}  // namespace
}  // namespace onepass::c

using namespace onepass::c;  // NOLINT: every function below is one of the interface

extern "C" {

int onepass_create(const onepass_group* groups, int64_t group_count, const onepass_parameter* parameters,
                   int64_t parameter_count, int32_t device, const onepass_options* options,
                   onepass_optimizer** optimizer) {
  return guarded([&] {
    write_handle(optimizer, "optimizer", [&] {
      const auto rules = rules_of(groups, group_count);
      const auto own = parameters_of(parameters, parameter_count, device_of(device), 0);
      return new onepass_optimizer{onepass::Optimizer(rules, own, options_of(options)), own.size()};
    });
  });
}

void onepass_destroy(onepass_optimizer* optimizer) { delete optimizer; }

int onepass_step(onepass_optimizer* optimizer, void* stream) {
  return guarded([&] { optimizer_of(optimizer).step(stream_of(stream)); });
}

int onepass_step_some(onepass_optimizer* optimizer, const int64_t* parameters, int64_t parameter_count,
                      void* stream) {
  return guarded([&] {
    onepass::Optimizer& one = optimizer_of(optimizer);
    std::vector<std::size_t> numbers;
    for (const std::int64_t i : array_of(parameters, "parameters", parameter_count, "parameter_count")) {
      if (i < 0) refuse("a number of a parameter", i, "at least 0");
      numbers.push_back(static_cast<std::size_t>(i));
    }
    one.step_some(numbers, stream_of(stream));
  });
}

int onepass_end_round(onepass_optimizer* optimizer, void* stream) {
  return guarded([&] { optimizer_of(optimizer).end_round(stream_of(stream)); });
}

int onepass_sweep(onepass_optimizer* optimizer, const char* name, void* stream) {
  return guarded([&] {
    require(name, "name");
    optimizer_of(optimizer).sweep(name, stream_of(stream));
  });
}

int onepass_zero_grad(onepass_optimizer* optimizer, void* stream) {
  return guarded([&] { optimizer_of(optimizer).zero_grad(stream_of(stream)); });
}

int onepass_set(onepass_optimizer* optimizer, int32_t group, const char* name, double value, void* stream) {
  return guarded([&] {
    require(name, "name");
    const onepass_setting setting{.name = name, .value = value, .text = nullptr};
    set(optimizer, group, {&setting, 1}, stream);
  });
}

int onepass_set_several(onepass_optimizer* optimizer, int32_t group, const onepass_setting* settings,
                        int64_t setting_count, void* stream) {
  return guarded(
      [&] { set(optimizer, group, array_of(settings, "settings", setting_count, "setting_count"), stream); });
}

int onepass_set_lr(onepass_optimizer* optimizer, double lr, void* stream) {
  return guarded([&] { optimizer_of(optimizer).set_lr(lr, stream_of(stream)); });
}

int onepass_get(const onepass_optimizer* optimizer, int32_t group, const char* name, double* value) {
  return guarded([&] {
    require(optimizer, "optimizer");
    require(name, "name");
    require(value, "value");
    *value = rule_of(optimizer, group).get(name);
  });
}

int onepass_get_text(const onepass_optimizer* optimizer, int32_t group, const char* name, const char** text) {
  return guarded([&] {
    require(name, "name");
    require(text, "text");
    *text = kept(rule_of(optimizer, group).text(name));
  });
}

int onepass_group_rule(const onepass_optimizer* optimizer, int32_t group, const char** rule) {
  return guarded([&] {
    require(rule, "rule");
    *rule = rule_of(optimizer, group).name().data();
  });
}

int onepass_group_count(const onepass_optimizer* optimizer, int64_t* count) {
  return guarded(
      [&] { write(count, "count", static_cast<std::int64_t>(optimizer_of(optimizer).group_count())); });
}

int onepass_lr(const onepass_optimizer* optimizer, int32_t group, void* stream, double* lr) {
  return guarded([&] {
    require(lr, "lr");
    *lr = optimizer_of(optimizer).lr(group_of(group), stream_of(stream));
  });
}

int onepass_set_gradients(onepass_optimizer* optimizer, const onepass_tensor* gradients, int64_t count,
                          void* stream) {
  return guarded([&] {
    onepass::Optimizer& one = optimizer_of(optimizer);
    one.set_gradients(tensors_of(gradients, count, one.device()), stream_of(stream));
  });
}

int onepass_set_memory(onepass_optimizer* optimizer, const onepass_parameter* parameters, int64_t count,
                       void* stream) {
  return guarded([&] {
    onepass::Optimizer& one = optimizer_of(optimizer);
    for_each_struct(parameters, count, {"parameters", "onepass_parameter", "count"},
                    [](const onepass_parameter& moved, std::size_t) { require(moved.name, "name"); });
    one.set_memory(parameters_of(parameters, count, one.device(), 0), stream_of(stream));
  });
}

int onepass_add_parameters(onepass_optimizer* optimizer, const onepass_parameter* parameters, int64_t count) {
  return guarded([&] {
    onepass::Optimizer& one = optimizer_of(optimizer);
    one.add_parameters(parameters_of(parameters, count, one.device(), optimizer->named));
    optimizer->named += static_cast<std::size_t>(count);
  });
}

int onepass_remove_parameters(onepass_optimizer* optimizer, const char* const* names, int64_t count) {
  return guarded([&] { optimizer_of(optimizer).remove_parameters(names_of(names, count)); });
}

int onepass_parameter_count(const onepass_optimizer* optimizer, int64_t* count) {
  return guarded(
      [&] { write(count, "count", static_cast<std::int64_t>(optimizer_of(optimizer).parameter_count())); });
}

int onepass_device(const onepass_optimizer* optimizer, int32_t* device) {
  return guarded([&] { write(device, "device", optimizer_of(optimizer).device().index()); });
}

int onepass_steps(const onepass_optimizer* optimizer, void* stream, int64_t* steps) {
  return guarded([&] { write(steps, "steps", optimizer_of(optimizer).steps(stream_of(stream))); });
}

int onepass_skipped_steps(const onepass_optimizer* optimizer, void* stream, int64_t* steps) {
  return guarded([&] { write(steps, "steps", optimizer_of(optimizer).skipped_steps(stream_of(stream))); });
}

int onepass_step_count(const onepass_optimizer* optimizer, const char* parameter, void* stream,
                       int64_t* steps) {
  return guarded([&] {
    require(parameter, "parameter");
    write(steps, "steps", optimizer_of(optimizer).step_count(parameter, stream_of(stream)));
  });
}

}  // extern "C"
