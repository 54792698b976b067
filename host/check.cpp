#include "host/check.hpp"

#include <algorithm>
#include <cstdint>
#include <string_view>
#include <unordered_set>

#include "host/cuda/runtime.hpp"
#include "host/sentence.hpp"

namespace onepass {
namespace {

/// A tensor of a parameter, as errors call it: value of "decoder.weight".
struct Subject {
  const char* role;
  const Parameter& parameter;

  [[nodiscard]] std::string text() const { return std::string(role) + " of " + quoted(parameter.name); }
};

void check_memory(const CheckContext& context, const Subject& subject, const Tensor& tensor, Device device) {
  if (tensor.device != device) {
    refuse(context.rule, subject.text() + " is on " + to_string(tensor.device) +
                             ", but the optimizer is on " + to_string(device));
  }
  if (tensor.numel == 0) return;
  if (!cuda::reachable_from(tensor.data, device)) {
    refuse(context.rule, subject.text() + " is said to be on " + to_string(device) +
                             ", but its memory is on " + to_string(cuda::home_of(tensor.data)));
  }
  if (reinterpret_cast<std::uintptr_t>(tensor.data) % size_of(tensor.dtype) != 0) {
    refuse(context.rule, subject.text() + " is not aligned to its elements of " +
                             std::to_string(size_of(tensor.dtype)) + " bytes");
  }
}

void check_value(const CheckContext& context, const Parameter& parameter, Device device) {
  const Tensor& value = parameter.value;
  if (value.numel < 0) {
    refuse(context.rule, "value of " + quoted(parameter.name) + " has " + elements(value.numel));
  }
  if (value.data == nullptr && value.numel > 0) {
    refuse(context.rule, "value of " + quoted(parameter.name) + " is null, but has " + elements(value.numel));
  }
  check_memory(context, {"value", parameter}, value, device);
}

void check_gradient(const CheckContext& context, const Parameter& parameter, const Tensor& grad,
                    Device device) {
  if (grad.data == nullptr) return;
  if (grad.numel != parameter.value.numel) {
    refuse(context.rule, "gradient of " + quoted(parameter.name) + " has " + elements(grad.numel) +
                             ", but its value has " + std::to_string(parameter.value.numel));
  }
  check_memory(context, {"gradient", parameter}, grad, device);
}

/// Bytes [begin, end) that a step writes or reads.
struct Span {
  std::uintptr_t begin;
  std::uintptr_t end;
  const Parameter* parameter;
};

Span span_of(const Tensor& tensor, const Parameter& parameter) {
  const auto begin = reinterpret_cast<std::uintptr_t>(tensor.data);
  return {begin, begin + tensor.bytes(), &parameter};
}

/// The values of all parameters, sorted by address. Two that overlap are refused.
std::vector<Span> sorted_values(const CheckContext& context, std::span<const Parameter> added) {
  std::vector<Span> spans;
  for (const std::span<const Parameter> parameters : {context.registered, added}) {
    for (const Parameter& parameter : parameters) {
      if (parameter.value.numel > 0) spans.push_back(span_of(parameter.value, parameter));
    }
  }
  std::ranges::sort(spans, {}, &Span::begin);
  for (std::size_t i = 1; i < spans.size(); ++i) {
    if (spans[i].begin < spans[i - 1].end) {
      refuse(context.rule, "the values of " + quoted(spans[i - 1].parameter->name) + " and " +
                               quoted(spans[i].parameter->name) + " overlap in memory");
    }
  }
  return spans;
}

/// A gradient that lay over a value would be changed while it is read.
void check_overlap(const CheckContext& context, const std::vector<Span>& values, const Parameter& parameter,
                   const Tensor& grad) {
  if (grad.data == nullptr || grad.numel == 0) return;
  const Span span = span_of(grad, parameter);
  const auto first = std::ranges::upper_bound(values, span.begin, {}, &Span::end);
  if (first != values.end() && first->begin < span.end) {
    refuse(context.rule, "the gradient of " + quoted(parameter.name) + " overlaps the value of " +
                             quoted(first->parameter->name) + " in memory");
  }
}

void check_names(const CheckContext& context, std::span<const Parameter> added) {
  std::unordered_set<std::string_view> names;
  for (const Parameter& parameter : context.registered) names.insert(parameter.name);
  for (const Parameter& parameter : added) {
    if (parameter.name.empty()) refuse(context.rule, "a parameter has an empty name");
    if (!names.insert(parameter.name).second) {
      refuse(context.rule, "two parameters are named " + quoted(parameter.name));
    }
  }
}

}  // namespace

Device device_of(const CheckContext& context, std::span<const Parameter> added) {
  if (!context.registered.empty()) return context.registered.front().value.device;
  if (added.empty()) refuse(context.rule, "there are no parameters");
  return added.front().value.device;
}

void check_parameters(const CheckContext& context, std::span<const Parameter> added, Device device) {
  check_names(context, added);
  for (const Parameter& parameter : added) {
    if (parameter.group >= context.group_count) {
      refuse(context.rule, quoted(parameter.name) + " is in group " + std::to_string(parameter.group) +
                               ", but there are rules for " + std::to_string(context.group_count) +
                               (context.group_count == 1 ? " group" : " groups"));
    }
    check_value(context, parameter, device);
    check_gradient(context, parameter, parameter.grad, device);
  }
  const std::vector<Span> values = sorted_values(context, added);
  for (const std::span<const Parameter> parameters : {context.registered, added}) {
    for (const Parameter& parameter : parameters) check_overlap(context, values, parameter, parameter.grad);
  }
}

void check_gradients(const CheckContext& context, std::span<const Tensor> gradients, Device device) {
  if (gradients.size() != context.registered.size()) {
    refuse(context.rule, "set_gradients was given " + std::to_string(gradients.size()) + " gradients for " +
                             std::to_string(context.registered.size()) + " parameters");
  }
  const std::vector<Span> values = sorted_values(context, {});
  for (std::size_t i = 0; i < gradients.size(); ++i) {
    const Parameter& parameter = context.registered[i];
    if (gradients[i].data == parameter.grad.data && gradients[i].numel == parameter.grad.numel &&
        gradients[i].device == parameter.grad.device) {
      continue;
    }
    check_gradient(context, parameter, gradients[i], device);
    check_overlap(context, values, parameter, gradients[i]);
  }
}

}  // namespace onepass
