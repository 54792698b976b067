#include "host/check/check_parameters.hpp"

#include <algorithm>
#include <cstdint>
#include <string_view>
#include <unordered_set>
#include <utility>
#include <vector>

#include "host/check/check_tensor.hpp"
#include "host/check/sentence.hpp"
#include "host/cuda/runtime.hpp"

namespace onepass {
namespace {

/// Names a tensor of a parameter in an error: value of "decoder.weight".
struct Subject {
  const char* role;
  const Parameter* parameter;  ///< Null for memory that all parameters share.

  [[nodiscard]] std::string text() const {
    return parameter == nullptr ? role : std::string(role) + " of " + quoted(parameter->name);
  }
};

void check_memory(const Subject& subject, const Tensor& tensor, Device device) {
  onepass::check_memory(subject.role, subject.parameter->name, tensor, device);
}

/// "(3, 5)"
std::string text_of(std::span<const std::int64_t> shape) {
  std::string text;
  for (const std::int64_t size : shape) text += (text.empty() ? "(" : ", ") + std::to_string(size);
  return text + (shape.size() == 1 ? ",)" : ")");
}

/// The element after the last one that a shard has of its logical tensor.
std::int64_t end_of(const Parameter& shard) {
  const std::int64_t numel = shard.value.numel, run = shard.run;
  return shard.first + (run == 0 || numel == 0 ? numel : (numel / run - 1) * shard.pitch + run);
}

/// Refuses a shape that has not as many elements as its value or, of a shard, lacks some of its elements.
void check_shape(const Parameter& parameter) {
  if (parameter.shape.empty()) return;
  std::int64_t count = 1;
  bool fits = true;
  for (const std::int64_t size : parameter.shape) {
    fits = fits && size >= 0 && !__builtin_mul_overflow(count, size, &count);
  }
  const bool is_shard = parameter.first != 0 || parameter.run != 0;
  if (fits && (is_shard ? end_of(parameter) <= count : count == parameter.value.numel)) return;
  refuse(quoted(parameter.name) + " has the shape " + text_of(parameter.shape) + ", but its value has " +
         elements(parameter.value.numel) +
         (is_shard ? " up to element " + std::to_string(end_of(parameter)) : ""));
}

/// Checks size, type and place of a value.
void check_kind(const Parameter& parameter) {
  const Tensor& value = parameter.value;
  if (value.numel < 0 || value.numel > kMostElements) {
    refuse("value of " + quoted(parameter.name) + " has " + elements(value.numel) +
           ", but must have from 0 to 2^53");
  }
  if (value.dtype != DType::float32 && value.dtype != DType::bfloat16 && value.dtype != DType::float16) {
    refuse("value of " + quoted(parameter.name) + " is of " + to_string(value.dtype) +
           ", but must be of float32, bfloat16 or float16");
  }
  check_place(parameter);
  check_shape(parameter);
}

void check_value(const Parameter& parameter, Device device) {
  check_kind(parameter);
  check_memory({"value", &parameter}, parameter.value, device);
}

void check_gradient(const Parameter& parameter, const Tensor& grad, Device device) {
  if (grad.data == nullptr) return;
  if (grad.numel != parameter.value.numel) {
    refuse("gradient of " + quoted(parameter.name) + " has " + elements(grad.numel) + ", but its value has " +
           std::to_string(parameter.value.numel));
  }
  if (grad.dtype != DType::float32 && grad.dtype != parameter.value.dtype) {
    const bool is_low = parameter.value.dtype != DType::float32;
    refuse("gradient of " + quoted(parameter.name) + " is of " + to_string(grad.dtype) +
           ", but must be of float32" +
           (is_low ? std::string(" or of its value's ") + to_string(parameter.value.dtype)
                   : ", as its value is"));
  }
  check_memory({"gradient", &parameter}, grad, device);
}

void check_copy(const Parameter& parameter, Device device) {
  const Tensor& copy = parameter.copy;
  if (copy.data == nullptr) return;
  if (parameter.value.dtype != DType::float32) {
    refuse(quoted(parameter.name) + " has a copy, which is for values of float32, but is of " +
           to_string(parameter.value.dtype));
  }
  if (copy.dtype != DType::bfloat16 && copy.dtype != DType::float16) {
    refuse("copy of " + quoted(parameter.name) + " is of " + to_string(copy.dtype) +
           ", but must be of bfloat16 or float16");
  }
  if (copy.numel != parameter.value.numel) {
    refuse("copy of " + quoted(parameter.name) + " has " + elements(copy.numel) + ", but its value has " +
           std::to_string(parameter.value.numel));
  }
  check_memory({"copy", &parameter}, copy, device);
}

/// The bytes [begin, end) of a tensor.
struct Span {
  std::uintptr_t begin;
  std::uintptr_t end;
  Subject subject;
};

Span span_of(const Tensor& tensor, const Subject& subject) {
  const auto begin = reinterpret_cast<std::uintptr_t>(tensor.data);
  return {begin, begin + tensor.bytes(), subject};
}

/// Sorts by address. Refuses two that overlap.
void sort_apart(std::vector<Span>& spans, const std::string& reason = "") {
  std::ranges::sort(spans, {}, &Span::begin);
  for (std::size_t i = 1; i < spans.size(); ++i) {
    if (spans[i].begin < spans[i - 1].end) {
      refuse(spans[i - 1].subject.text() + " and " + spans[i].subject.text() + " overlap in memory" + reason);
    }
  }
}

/// Returns the memory that a step writes, sorted by address: values, copies, given streams, and the
/// optimizer's own memory. Refuses two that overlap.
std::vector<Span> sorted_outputs(const CheckContext& context, std::span<const Parameter> added) {
  std::vector<Span> spans;
  const auto add = [&](const Tensor& tensor, const Subject& subject) {
    if (tensor.data != nullptr && tensor.numel > 0) spans.push_back(span_of(tensor, subject));
  };
  for (const std::span<const Parameter> parameters : {context.registered, added}) {
    for (const Parameter& parameter : parameters) {
      add(parameter.value, {"value", &parameter});
      add(parameter.copy, {"copy", &parameter});
      for (const GivenStream& given : parameter.streams) add(given.tensor, {given.name.c_str(), &parameter});
    }
  }
  for (const std::span<const std::byte> bytes : context.own) {
    const auto begin = reinterpret_cast<std::uintptr_t>(bytes.data());
    spans.push_back({begin, begin + bytes.size(), {"the optimizer's own memory", nullptr}});
  }
  sort_apart(spans);
  return spans;
}

/// The memory of gradients that steps zero.
class ZeroedGradients {
 public:
  void add(const Parameter& parameter, const Tensor& grad) {
    if (grad.data != nullptr && grad.numel > 0) spans_.push_back(span_of(grad, {"gradient", &parameter}));
  }
  void add(std::span<const Parameter> parameters) {
    for (const Parameter& parameter : parameters) add(parameter, parameter.grad);
  }
  /// Refuses two that overlap.
  void check() && { sort_apart(spans_, ", and zero_grad clears the one before the other is read"); }

 private:
  std::vector<Span> spans_;
};

/// Refuses a gradient that overlaps what a step writes: the step would change it while reading it.
void check_overlap(const std::vector<Span>& outputs, const Parameter& parameter, const Tensor& grad) {
  if (grad.data == nullptr || grad.numel == 0) return;
  const Span span = span_of(grad, {"gradient", &parameter});
  const auto first = std::ranges::upper_bound(outputs, span.begin, {}, &Span::end);
  if (first != outputs.end() && first->begin < span.end) {
    refuse(span.subject.text() + " and " + first->subject.text() + " overlap in memory");
  }
}

void check_names(const CheckContext& context, std::span<const Parameter> added) {
  std::unordered_set<std::string_view> names;
  for (const Parameter& parameter : context.registered) names.insert(parameter.name);
  for (const Parameter& parameter : added) {
    if (parameter.name.empty()) refuse("a parameter has an empty name");
    if (!names.insert(parameter.name).second) {
      refuse("two parameters are named " + quoted(parameter.name));
    }
  }
}

}  // namespace

void check_memory(std::string_view role, std::string_view parameter, const Tensor& tensor, Device device) {
  const std::string subject = std::string(role) + " of " + quoted(parameter);
  if (tensor.data == nullptr && tensor.numel > 0) {
    refuse(subject + " is null, but has " + elements(tensor.numel));
  }
  if (tensor.device != device) {
    refuse(subject + " is on " + to_string(tensor.device) + ", but the optimizer is on " + to_string(device));
  }
  if (tensor.numel == 0) return;
  if (!cuda::reachable_from(tensor.data, device)) {
    refuse(subject + " is said to be on " + to_string(device) + ", but its memory is on " +
           to_string(cuda::home_of(tensor.data)));
  }
  if (reinterpret_cast<std::uintptr_t>(tensor.data) % size_of(tensor.dtype) != 0) {
    refuse(subject + " is not aligned to its elements of " + std::to_string(size_of(tensor.dtype)) +
           " bytes");
  }
}

void check_place(const Parameter& parameter) {
  const std::int64_t first = parameter.first, run = parameter.run, pitch = parameter.pitch;
  const std::int64_t numel = parameter.value.numel;
  const std::string subject = quoted(parameter.name) + " has ";
  const std::string both = "run = " + std::to_string(run) + " and pitch = " + std::to_string(pitch);
  if (first < 0) refuse(subject + "first = " + std::to_string(first) + ", but it must be at least 0");
  if (run < 0 || pitch < run || (run == 0 && pitch != 0)) {
    refuse(subject + both + ", but run must be above 0 and pitch at least run, or both must be 0");
  }
  if (run > 0 && numel % run != 0) {
    refuse(subject + elements(numel) + " and " + both + ", but run must divide the number of elements");
  }
  const std::int64_t gaps = run == 0 || numel == 0 ? 0 : numel / run - 1;
  const std::int64_t room = kMostElements - numel;  // of the elements before the first and in the gaps
  if (first > room || (gaps > 0 && pitch - run > (room - first) / gaps)) {
    refuse(subject + "first = " + std::to_string(first) + (run == 0 ? "" : ", " + both) + " and " +
           elements(numel) + ", but its last element must lie below 2^53 in the logical tensor");
  }
}

void check_kind(std::size_t group_count, const Parameter& parameter) {
  if (parameter.group >= group_count) {
    refuse(quoted(parameter.name) + " is in group " + std::to_string(parameter.group) +
           ", but there are rules for " + std::to_string(group_count) +
           (group_count == 1 ? " group" : " groups"));
  }
  check_kind(parameter);
}

Device device_of(const CheckContext& context, std::span<const Parameter> added) {
  if (!context.registered.empty()) return context.registered.front().value.device;
  if (added.empty()) refuse("there are no parameters");
  return added.front().value.device;
}

void check_parameters(const CheckContext& context, std::span<const Parameter> added, Device device) {
  check_names(context, added);
  for (const Parameter& parameter : added) {
    check_kind(context.group_count, parameter);
    check_tensors(parameter, device);
  }
}

void check_tensors(const Parameter& parameter, Device device) {
  check_value(parameter, device);
  check_gradient(parameter, parameter.grad, device);
  check_copy(parameter, device);
}

void check_apart(const CheckContext& context, std::span<const Parameter> added) {
  const std::vector<Span> outputs = sorted_outputs(context, added);
  for (const std::span<const Parameter> parameters : {context.registered, added}) {
    for (const Parameter& parameter : parameters) check_overlap(outputs, parameter, parameter.grad);
  }
  if (!context.zeroes_gradients) return;
  ZeroedGradients zeroed;
  zeroed.add(context.registered);
  zeroed.add(added);
  std::move(zeroed).check();
}

void check_gradients_apart(const CheckContext& context) {
  ZeroedGradients zeroed;
  zeroed.add(context.registered);
  std::move(zeroed).check();
}

void check_gradients(const CheckContext& context, std::span<const Tensor> gradients, Device device) {
  if (gradients.size() != context.registered.size()) {
    refuse("set_gradients was given " + std::to_string(gradients.size()) + " gradients for " +
           std::to_string(context.registered.size()) + " parameters");
  }
  const std::vector<Span> outputs = sorted_outputs(context, {});
  ZeroedGradients zeroed;
  for (std::size_t i = 0; i < gradients.size(); ++i) {
    const Parameter& parameter = context.registered[i];
    zeroed.add(parameter, gradients[i]);
    if (gradients[i].data == parameter.grad.data && gradients[i].numel == parameter.grad.numel &&
        gradients[i].dtype == parameter.grad.dtype && gradients[i].device == parameter.grad.device) {
      continue;
    }
    check_gradient(parameter, gradients[i], device);
    check_overlap(outputs, parameter, gradients[i]);
  }
  if (context.zeroes_gradients) std::move(zeroed).check();
}

}  // namespace onepass
