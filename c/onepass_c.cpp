// onepass_c.cpp - the optimizers for C: makes rules of names and numbers, and status codes of exceptions.
#include "c/onepass_c.h"

#include <new>
#include <span>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "onepass/error.hpp"
#include "onepass/onepass.hpp"

struct onepass_optimizer {
  onepass::Optimizer optimizer;
};

namespace onepass {
namespace {

thread_local std::string last_error;

/// Runs `work` and returns a status code. Stores the message of an exception in last_error.
template <class Work>
int guarded(const Work& work) noexcept {
  const auto failed = [](int status, const char* what) {
    try {
      last_error = what;
    } catch (...) {
      last_error.clear();  // no memory for the message
    }
    return status;
  };
  try {
    work();
    return ONEPASS_OK;
  } catch (const InvalidArgument& error) {
    return failed(ONEPASS_INVALID_ARGUMENT, error.what());
  } catch (const CudaError& error) {
    return failed(ONEPASS_CUDA_ERROR, error.what());
  } catch (const std::bad_alloc&) {
    return failed(ONEPASS_OUT_OF_MEMORY, "onepass: there is not enough memory");
  } catch (const std::exception& error) {
    return failed(ONEPASS_OTHER_ERROR, error.what());
  } catch (...) {
    return failed(ONEPASS_OTHER_ERROR, "onepass: unknown error");
  }
}

[[noreturn]] void refuse(std::string_view what, std::int64_t value, std::string_view allowed) {
  throw InvalidArgument(std::string("onepass: ")
                            .append(what)
                            .append(" is ")
                            .append(std::to_string(value))
                            .append("; it must be ")
                            .append(allowed));
}

void require(const void* pointer, const char* name) {
  if (pointer == nullptr) throw InvalidArgument(std::string("onepass: ").append(name).append(" is null"));
}

/// Makes a span of an array of the caller's. Throws if its length is negative, or it is null and not empty.
template <class T>
std::span<const T> array_of(const T* first, const char* name, std::int64_t count, const char* count_name) {
  if (count < 0) refuse(count_name, count, "0 or more");
  if (count > 0) require(first, name);
  return {first, static_cast<std::size_t>(count)};
}

/// Converts the caller's number to an enumerator. Throws unless it is from 0 to `last`. The C names have the
/// order of the enumerators.
template <class Enum>
Enum enumerator(const char* what, std::int32_t value, Enum last, const char* allowed) {
  if (value < 0 || value > static_cast<std::int32_t>(last)) refuse(what, value, allowed);
  return static_cast<Enum>(value);
}

/// Returns the element of a list by the caller's index.
template <class T>
const T& at(std::span<const T> list, const char* what, std::int32_t index) {
  if (index < 0 || static_cast<std::size_t>(index) >= list.size()) {
    refuse(what, index, "from 0 to " + std::to_string(list.size() - 1));
  }
  return list[static_cast<std::size_t>(index)];
}

Rule rule_named(const char* name) {
  require(name, "the name of a rule");
  return Rule::named(name);
}

onepass_hyperparameter_info info_of(const Rule& rule, const Hyperparameter& one) {
  const bool is_number = one.kind == Hyperparameter::Kind::number;
  return {.name = one.name,
          .meaning = one.meaning,
          .interval = is_number ? one.range.interval : "",
          .choices = one.choices.empty() ? nullptr : one.choices.data(),
          .default_value = rule.get(one.name),
          .choice_count = static_cast<std::int32_t>(one.choices.size()),
          .kind = static_cast<std::int32_t>(one.kind)};
}

/// Returns a rule with some hyperparameters changed.
Rule changed(Rule rule, std::span<const onepass_setting> settings) {
  for (const onepass_setting& setting : settings) {
    require(setting.name, "the name of a setting");
    if (setting.text != nullptr) {
      rule.set_text(setting.name, setting.text);
    } else {
      rule.set(setting.name, setting.value);
    }
  }
  return rule;
}

Rule rule_of(const onepass_group& group) {
  return changed(rule_named(group.rule),
                 array_of(group.settings, "settings", group.setting_count, "setting_count"));
}

/// Makes the rule of each group. If there are several groups, errors also name the group.
std::vector<Rule> rules_of(std::span<const onepass_group> groups) {
  std::vector<Rule> rules;
  for (const onepass_group& group : groups) {
    try {
      rules.push_back(rule_of(group));
    } catch (const InvalidArgument& error) {
      if (groups.size() == 1) throw;
      throw InvalidArgument(
          std::string(error.what()).append(" (group ").append(std::to_string(rules.size())).append(")"));
    }
  }
  return rules;
}

std::size_t group_of(std::int32_t group) {
  if (group < 0) refuse("group", group, "0 or more");
  return static_cast<std::size_t>(group);
}

DType dtype_of(std::int32_t value) {
  return enumerator("a dtype", value, DType::float16, "0 (float32), 1 (bfloat16) or 2 (float16)");
}

std::vector<Parameter> parameters_of(std::span<const onepass_tensor> tensors, Device device) {
  std::vector<Parameter> parameters;
  for (const onepass_tensor& one : tensors) {
    Parameter parameter{.name = std::string("tensor ").append(std::to_string(parameters.size())),
                        .value = {one.value, dtype_of(one.dtype), one.numel, device},
                        .group = group_of(one.group)};
    if (one.grad != nullptr) parameter.grad = {one.grad, dtype_of(one.grad_dtype), one.numel, device};
    parameters.push_back(std::move(parameter));
  }
  return parameters;
}

ParallelFor parallel_for_of(const onepass_options& c) {
  if (c.parallel_for == nullptr) return {};
  return [call = c.parallel_for, context = c.parallel_for_context](int parts,
                                                                   const std::function<void(int)>& body) {
    const auto call_body = [](void* work, std::int32_t part) {
      (*static_cast<const std::function<void(int)>*>(work))(part);
    };
    call(context, parts, call_body, const_cast<std::function<void(int)>*>(&body));
  };
}

Options options_of(const onepass_options& c) {
  if (c.threads < 0) refuse("threads", c.threads, "0 or more");
  const Storage storage{
      .master = enumerator("master", c.master, Master::remainder8, "from 0 (none) to 3 (remainder8)"),
      .states = enumerator("states", c.states, States::quantized8, "0 (float32), 1 (bfloat16) or 2 (8 bits)"),
      .rounding = enumerator("rounding", c.rounding, Rounding::stochastic, "0 (nearest) or 1 (stochastic)")};
  return {.threads = c.threads,
          .storage = storage,
          .seed = c.seed,
          .pool = enumerator("pool", c.pool, Pool::openmp, "0 (best), 1 (own) or 2 (openmp)"),
          .parallel_for = parallel_for_of(c)};
}

Device device_of(std::int32_t device) {
  if (device < ONEPASS_CPU) refuse("device", device, "-1 (the CPU) or the number of a CUDA device");
  return device == ONEPASS_CPU ? Device::cpu() : Device::cuda(device);
}

/// Changes hyperparameters of one group.
void set(onepass_optimizer* optimizer, std::int32_t group, std::span<const onepass_setting> settings,
         void* stream) {
  require(optimizer, "optimizer");
  Optimizer& one = optimizer->optimizer;
  const std::size_t which = group_of(group);
  one.set_rule(changed(one.rule(which), settings), which, static_cast<CUstream_st*>(stream));
}

}  // namespace
}  // namespace onepass

extern "C" {

int32_t onepass_rule_count(void) { return static_cast<int32_t>(onepass::library_rules().size()); }

const char* onepass_rule_name(int32_t index) {
  const char* name = nullptr;
  onepass::guarded(
      [&] { name = onepass::at(onepass::library_rules(), "a rule's index", index).name().data(); });
  return name;
}

int onepass_hyperparameter_count(const char* rule, int32_t* count) {
  return onepass::guarded([&] {
    onepass::require(count, "count");
    *count = static_cast<int32_t>(onepass::rule_named(rule).hyperparameters().size());
  });
}

int onepass_hyperparameter(const char* rule, int32_t index, onepass_hyperparameter_info* info) {
  return onepass::guarded([&] {
    onepass::require(info, "info");
    const onepass::Rule named = onepass::rule_named(rule);
    *info = onepass::info_of(named, onepass::at(named.hyperparameters(), "a hyperparameter's index", index));
  });
}

int onepass_create(const onepass_group* groups, int64_t group_count, const onepass_tensor* tensors,
                   int64_t tensor_count, int32_t device, const onepass_options* options,
                   onepass_optimizer** optimizer) {
  return onepass::guarded([&] {
    onepass::require(optimizer, "optimizer");
    *optimizer = nullptr;
    const auto rules = onepass::rules_of(onepass::array_of(groups, "groups", group_count, "group_count"));
    const auto parameters = onepass::parameters_of(
        onepass::array_of(tensors, "tensors", tensor_count, "tensor_count"), onepass::device_of(device));
    const auto chosen = onepass::options_of(options == nullptr ? onepass_options{} : *options);
    *optimizer = new onepass_optimizer{onepass::Optimizer(rules, parameters, chosen)};
  });
}

int onepass_step(onepass_optimizer* optimizer, void* stream) {
  return onepass::guarded([&] {
    onepass::require(optimizer, "optimizer");
    optimizer->optimizer.step(static_cast<CUstream_st*>(stream));
  });
}

int onepass_set(onepass_optimizer* optimizer, int32_t group, const char* name, double value, void* stream) {
  return onepass::guarded([&] {
    onepass::require(name, "name");
    const onepass_setting setting{.name = name, .value = value, .text = nullptr};
    onepass::set(optimizer, group, {&setting, 1}, stream);
  });
}

int onepass_set_several(onepass_optimizer* optimizer, int32_t group, const onepass_setting* settings,
                        int64_t count, void* stream) {
  return onepass::guarded([&] {
    onepass::set(optimizer, group, onepass::array_of(settings, "settings", count, "count"), stream);
  });
}

int onepass_get(const onepass_optimizer* optimizer, int32_t group, const char* name, double* value) {
  return onepass::guarded([&] {
    onepass::require(optimizer, "optimizer");
    onepass::require(name, "name");
    onepass::require(value, "value");
    *value = optimizer->optimizer.rule(onepass::group_of(group)).get(name);
  });
}

void onepass_destroy(onepass_optimizer* optimizer) { delete optimizer; }

const char* onepass_last_error(void) { return onepass::last_error.c_str(); }

}  // extern "C"
