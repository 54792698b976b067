// onepass_c.cpp - the optimizers for C: makes rules and tensors of numbers, and status codes of exceptions.
#include "c/onepass_c.h"

#include <new>
#include <string>
#include <utility>
#include <variant>
#include <vector>

#include "onepass/error.hpp"
#include "onepass/onepass.hpp"

using AnyOptimizer = std::variant<onepass::Optimizer<onepass::SGD>, onepass::Optimizer<onepass::RMSProp>,
                                  onepass::Optimizer<onepass::Adam>, onepass::Optimizer<onepass::AdamW>>;

struct onepass_optimizer {
  AnyOptimizer any;
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

[[noreturn]] void refuse(const char* what, std::int64_t value, const char* allowed) {
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

/// Converts the caller's number to an enumerator. Throws unless it is from 0 to `last`. The C names have the
/// order of the enumerators.
template <class Enum>
Enum enumerator(const char* what, std::int32_t value, Enum last, const char* allowed) {
  if (value < 0 || value > static_cast<std::int32_t>(last)) refuse(what, value, allowed);
  return static_cast<Enum>(value);
}

bool flag(const char* what, std::int32_t value) {
  if (value != 0 && value != 1) refuse(what, value, "0 or 1");
  return value == 1;
}

DType dtype_of(std::int32_t value) {
  return enumerator("a dtype", value, DType::float16, "0 (float32), 1 (bfloat16) or 2 (float16)");
}

SGD sgd(const onepass_config& c) {
  return {.lr = c.lr,
          .momentum = c.momentum,
          .dampening = c.dampening,
          .weight_decay = c.weight_decay,
          .nesterov = flag("nesterov", c.nesterov),
          .maximize = flag("maximize", c.maximize)};
}

RMSProp rmsprop(const onepass_config& c) {
  const bool outside = flag("eps_outside_root", c.eps_outside_root);
  return {.lr = c.lr,
          .alpha = c.alpha,
          .eps = c.eps,
          .momentum = c.momentum,
          .weight_decay = c.weight_decay,
          .epsilon = outside ? Epsilon::outside_root : Epsilon::inside_root,
          .centered = flag("centered", c.centered),
          .maximize = flag("maximize", c.maximize)};
}

/// Makes a rule of type Adam or AdamW.
template <class Rule>
Rule adam(const onepass_config& c) {
  return {.lr = c.lr,
          .beta1 = c.beta1,
          .beta2 = c.beta2,
          .eps = c.eps,
          .weight_decay = c.weight_decay,
          .amsgrad = flag("amsgrad", c.amsgrad),
          .maximize = flag("maximize", c.maximize)};
}

std::vector<Parameter> parameters_of(const onepass_tensor* tensors, std::int64_t count, Device device) {
  std::vector<Parameter> parameters;
  for (std::int64_t i = 0; i < count; ++i) {
    const onepass_tensor& one = tensors[i];
    Parameter parameter{.name = std::string("tensor ").append(std::to_string(i)),
                        .value = {one.value, dtype_of(one.dtype), one.numel, device}};
    if (one.grad != nullptr) parameter.grad = {one.grad, dtype_of(one.grad_dtype), one.numel, device};
    parameters.push_back(std::move(parameter));
  }
  return parameters;
}

Options options_of(const onepass_config& c) {
  if (c.threads < 0) refuse("threads", c.threads, "0 or more");
  const Storage storage{
      .master = enumerator("master", c.master, Master::remainder8, "from 0 (none) to 3 (remainder8)"),
      .states = enumerator("states", c.states, States::quantized8, "0 (float32), 1 (bfloat16) or 2 (8 bits)"),
      .rounding = enumerator("rounding", c.rounding, Rounding::stochastic, "0 (nearest) or 1 (stochastic)")};
  return {.threads = c.threads, .storage = storage, .seed = c.seed};
}

AnyOptimizer make(const onepass_config& c, std::vector<Parameter> parameters) {
  const Options options = options_of(c);
  switch (c.rule) {
    case ONEPASS_SGD:
      return Optimizer(sgd(c), std::move(parameters), options);
    case ONEPASS_RMSPROP:
      return Optimizer(rmsprop(c), std::move(parameters), options);
    case ONEPASS_ADAM:
      return Optimizer(adam<Adam>(c), std::move(parameters), options);
    case ONEPASS_ADAMW:
      return Optimizer(adam<AdamW>(c), std::move(parameters), options);
    default:
      refuse("rule", c.rule, "0 (SGD), 1 (RMSProp), 2 (Adam) or 3 (AdamW)");
  }
}

void write(const SGD& rule, onepass_config& c) {
  c.lr = rule.lr;
  c.momentum = rule.momentum;
  c.dampening = rule.dampening;
  c.weight_decay = rule.weight_decay;
}

void write(const RMSProp& rule, onepass_config& c) {
  c.lr = rule.lr;
  c.alpha = rule.alpha;
  c.eps = rule.eps;
  c.momentum = rule.momentum;
  c.weight_decay = rule.weight_decay;
}

template <class Rule>
void write(const Rule& rule, onepass_config& c) {
  c.lr = rule.lr;
  c.beta1 = rule.beta1;
  c.beta2 = rule.beta2;
  c.eps = rule.eps;
  c.weight_decay = rule.weight_decay;
}

onepass_config defaults_of(std::int32_t rule) {
  onepass_config c{};
  c.rule = rule;
  switch (rule) {
    case ONEPASS_SGD:
      write(SGD{}, c);
      return c;
    case ONEPASS_RMSPROP:
      write(RMSProp{}, c);
      return c;
    case ONEPASS_ADAM:
      write(Adam{}, c);
      return c;
    case ONEPASS_ADAMW:
      write(AdamW{}, c);
      return c;
    default:
      refuse("rule", rule, "0 (SGD), 1 (RMSProp), 2 (Adam) or 3 (AdamW)");
  }
}

Device device_of(std::int32_t device) {
  if (device < ONEPASS_CPU) refuse("device", device, "-1 (the CPU) or the number of a CUDA device");
  return device == ONEPASS_CPU ? Device::cpu() : Device::cuda(device);
}

}  // namespace
}  // namespace onepass

extern "C" {

int onepass_defaults(int32_t rule, onepass_config* config) {
  return onepass::guarded([&] {
    onepass::require(config, "config");
    *config = onepass::defaults_of(rule);
  });
}

int onepass_create(const onepass_config* config, const onepass_tensor* tensors, int64_t count, int32_t device,
                   onepass_optimizer** optimizer) {
  return onepass::guarded([&] {
    onepass::require(optimizer, "optimizer");
    *optimizer = nullptr;
    onepass::require(config, "config");
    if (count < 0) onepass::refuse("count", count, "0 or more");
    if (count > 0) onepass::require(tensors, "tensors");
    auto parameters = onepass::parameters_of(tensors, count, onepass::device_of(device));
    *optimizer = new onepass_optimizer{onepass::make(*config, std::move(parameters))};
  });
}

int onepass_step(onepass_optimizer* optimizer, void* stream) {
  return onepass::guarded([&] {
    onepass::require(optimizer, "optimizer");
    std::visit([stream](auto& one) { one.step(static_cast<CUstream_st*>(stream)); }, optimizer->any);
  });
}

void onepass_destroy(onepass_optimizer* optimizer) { delete optimizer; }

const char* onepass_last_error(void) { return onepass::last_error.c_str(); }

}  // extern "C"
