// convert.cpp - the library's values from the caller's structs.
#include "c/source/convert.hpp"

#include <cstddef>
#include <functional>
#include <utility>

namespace onepass::c {

template <>
inline constexpr std::size_t kFirstSize<onepass_options> = offsetof(onepass_options, lookahead);

namespace {

Storage storage_of(const onepass_storage* given) {
  const auto c = struct_or_zero(given, "onepass_storage");
  return {
      .master = enumerator("master", c.master, Master::remainder8, "from 0 (none) to 3 (remainder8)"),
      .states = enumerator("states", c.states, States::quantized8, "0 (float32), 1 (bfloat16) or 2 (8 bits)"),
      .rounding = enumerator("rounding", c.rounding, Rounding::stochastic, "0 (nearest) or 1 (stochastic)")};
}

std::optional<EMA> ema_of(const onepass_ema* given) {
  if (given == nullptr) return std::nullopt;
  const auto c = struct_of(given, "onepass_ema");
  return EMA{.decay = c.decay,
             .warmup = flag("warmup", c.warmup),
             .bias_correction = flag("bias_correction", c.bias_correction),
             .dtype = dtype_of(c.dtype)};
}

std::optional<Lookahead> lookahead_of(const onepass_lookahead* given) {
  if (given == nullptr) return std::nullopt;
  const auto c = struct_of(given, "onepass_lookahead");
  return Lookahead{.k = c.k, .alpha = c.alpha};
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

std::vector<GivenStream> streams_of(const onepass_parameter& c, Device device) {
  std::vector<GivenStream> streams;
  for_each_struct(c.streams, c.stream_count, {"streams", "onepass_given_stream", "stream_count"},
                  [&](const onepass_given_stream& one, std::size_t) {
                    require(one.name, "the name of a stream");
                    streams.push_back({.name = one.name,
                                       .tensor = {one.data, dtype_of(one.dtype), one.numel, device},
                                       .contents = enumerator("contents", one.contents, Contents::present,
                                                              "0 (first) or 1 (present)")});
                  });
  return streams;
}

/// Returns the number of elements of a shape, or -1 if it does not fit into 63 bits.
std::int64_t elements_of(std::span<const std::int64_t> shape) {
  std::int64_t count = 1;
  for (const std::int64_t dim : shape) {
    if (dim < 0 || __builtin_mul_overflow(count, dim, &count)) return -1;
  }
  return count;
}

/// Returns whether a tensor of `whole` elements has all elements of the parameter. Places that no tensor has
/// are for the optimizer to refuse.
bool has_elements(std::int64_t whole, const onepass_parameter& c) {
  if (c.numel <= 0 || c.first < 0 || c.run < 0 || c.pitch < 0) return true;
  std::int64_t gaps = 0, last = 0;
  if (c.run != 0 && __builtin_mul_overflow((c.numel - 1) / c.run, c.pitch - c.run, &gaps)) return false;
  return !__builtin_add_overflow(c.first, c.numel - 1, &last) && !__builtin_add_overflow(last, gaps, &last) &&
         last < whole;
}

/// Returns the shape of the parameter. Throws unless it and its row blocks fit.
std::vector<std::int64_t> shape_of(const onepass_parameter& c, const std::string& name) {
  const auto shape = array_of(c.shape, "shape", c.dim_count, "dim_count");
  const std::string of = " of \"" + name + "\"";
  if (c.blocks < 0) refuse("blocks" + of, c.blocks, "0 or more");
  if (c.shape == nullptr) {
    if (c.blocks > 1) refuse("blocks" + of, c.blocks, "0 or 1 where no shape is given");
    return {};
  }
  const std::int64_t whole = elements_of(shape);
  if (whole < 0) refuse("the shape" + of + " has a negative dimension, or more elements than 63 bits count");
  if (!has_elements(whole, c)) {
    refuse("the shape" + of + " has " + std::to_string(whole) + " elements, but the parameter has " +
           std::to_string(c.numel) + " from element " + std::to_string(c.first));
  }
  if (c.blocks > 1 && (shape.empty() || shape[0] % c.blocks != 0)) {
    refuse("blocks" + of, c.blocks, "a divisor of the shape's first dimension");
  }
  if (c.blocks > 1 && shape.size() == 2) return {c.blocks, shape[0] / c.blocks, shape[1]};
  return {shape.begin(), shape.end()};
}

/// A shard without gaps from the first element on says by its run that it is one; an empty one has no shape.
void mark_shard(Parameter& parameter) {
  const std::int64_t numel = parameter.value.numel;
  if (parameter.shape.empty() || parameter.first != 0 || parameter.run != 0) return;
  if (elements_of(parameter.shape) == numel) return;
  if (numel == 0) parameter.shape.clear();
  parameter.run = parameter.pitch = numel;
}

Parameter parameter_of(const onepass_parameter& c, Device device, std::size_t number) {
  Parameter parameter{.name = c.name != nullptr ? c.name : "tensor " + std::to_string(number),
                      .value = {c.value, dtype_of(c.dtype), c.numel, device},
                      .group = group_of(c.group),
                      .first = c.first,
                      .run = c.run,
                      .pitch = c.pitch,
                      .streams = streams_of(c, device)};
  parameter.shape = shape_of(c, parameter.name);
  mark_shard(parameter);
  if (c.grad != nullptr) parameter.grad = {c.grad, dtype_of(c.grad_dtype), c.numel, device};
  if (c.copy != nullptr) parameter.copy = {c.copy, dtype_of(c.copy_dtype), c.numel, device};
  if (c.storage != nullptr) parameter.storage = storage_of(c.storage);
  return parameter;
}

Rule rule_of(const onepass_group& group) {
  require(group.rule, "the name of a rule");
  return changed(Rule::named(group.rule),
                 array_of(group.settings, "settings", group.setting_count, "setting_count"));
}

}  // namespace

Device device_of(std::int32_t device) {
  if (device < ONEPASS_CPU) refuse("device", device, "-1 (the CPU) or the number of a CUDA device");
  return device == ONEPASS_CPU ? Device::cpu() : Device::cuda(device);
}

DType dtype_of(std::int32_t value) {
  return enumerator("a dtype", value, DType::float64, "from 0 (float32) to 6 (float64)");
}

Tensor tensor_of(const onepass_tensor& tensor, Device device) {
  return {tensor.data, dtype_of(tensor.dtype), tensor.numel, device};
}

onepass_tensor tensor_of(const Tensor& tensor) {
  return {.size = sizeof(onepass_tensor),
          .dtype = static_cast<std::int32_t>(tensor.dtype),
          .data = tensor.data,
          .numel = tensor.numel};
}

std::size_t group_of(std::int32_t group) {
  if (group < 0) refuse("group", group, "0 or more");
  return static_cast<std::size_t>(group);
}

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

std::vector<Rule> rules_of(const onepass_group* groups, std::int64_t count) {
  std::vector<Rule> rules;
  for_each_struct(groups, count, {"groups", "onepass_group", "group_count"},
                  [&](const onepass_group& group, std::size_t i) {
                    try {
                      rules.push_back(rule_of(group));
                    } catch (const InvalidArgument& error) {
                      if (count == 1) throw;
                      throw InvalidArgument(
                          std::string(error.what()).append(" (group ").append(std::to_string(i)).append(")"));
                    }
                  });
  return rules;
}

Options options_of(const onepass_options* options) {
  const auto c = struct_or_zero(options, "onepass_options");
  if (c.threads < 0) refuse("threads", c.threads, "0 or more");
  return {.chunk_size = c.chunk_size,
          .threads = c.threads,
          .isa = enumerator("isa", c.isa, Isa::avx512_bf16, "from 0 (best) to 4 (avx512_bf16)"),
          .storage = storage_of(c.storage),
          .float32_storage = storage_of(c.float32_storage),
          .seed = c.seed,
          .ema = ema_of(c.ema),
          .lookahead = lookahead_of(c.lookahead),
          .accumulates_gradients = flag("accumulates_gradients", c.accumulates_gradients),
          .pool = enumerator("pool", c.pool, Pool::openmp, "0 (best), 1 (own) or 2 (openmp)"),
          .parallel_for = parallel_for_of(c)};
}

std::vector<Parameter> parameters_of(const onepass_parameter* parameters, std::int64_t count, Device device,
                                     std::size_t numbered) {
  std::vector<Parameter> made;
  for_each_struct(parameters, count, {"parameters", "onepass_parameter", "parameter_count"},
                  [&](const onepass_parameter& one, std::size_t i) {
                    made.push_back(parameter_of(one, device, numbered + i));
                  });
  return made;
}

void write_texts(onepass_texts** to, std::vector<std::string> texts) {
  if (to != nullptr) *to = new onepass_texts{std::move(texts)};
}

}  // namespace onepass::c
