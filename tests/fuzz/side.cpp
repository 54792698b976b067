// side.cpp - see side.hpp.
#include "fuzz/side.hpp"

#include <algorithm>
#include <bit>
#include <cmath>
#include <cstring>
#include <limits>
#include <utility>

#include "onepass/storage/bfloat16.hpp"
#include "onepass/storage/float16.hpp"

namespace onepass::fuzz {
namespace {

constexpr std::size_t kGuard = 128;  // bytes on each side: two AVX-512 stores
constexpr std::byte kSentinel{0xa5};

template <class Codec>
std::vector<float> decode_all(const std::vector<std::byte>& bytes) {
  std::vector<float> numbers(bytes.size() / sizeof(typename Codec::Element));
  for (std::size_t i = 0; i < numbers.size(); ++i) {
    typename Codec::Element element{};
    std::memcpy(&element, bytes.data() + i * sizeof element, sizeof element);
    numbers[i] = Codec::decode(element);
  }
  return numbers;
}

template <class Codec>
std::vector<std::byte> encode_all(const std::vector<float>& numbers) {
  std::vector<std::byte> bytes(numbers.size() * sizeof(typename Codec::Element));
  for (std::size_t i = 0; i < numbers.size(); ++i) {
    const typename Codec::Element element = Codec::encode(numbers[i]);
    std::memcpy(bytes.data() + i * sizeof element, &element, sizeof element);
  }
  return bytes;
}

/// Any NaN equals any other: which one comes out of an operation depends on the instruction set.
void make_nans_equal(std::vector<std::byte>& bytes, DType dtype) {
  if (dtype == DType::uint8 || dtype == DType::uint16) return;
  if (dtype == DType::float64) {
    double scalar = 0.0;
    std::memcpy(&scalar, bytes.data(), sizeof scalar);
    if (std::isnan(scalar)) scalar = std::numeric_limits<double>::quiet_NaN();
    std::memcpy(bytes.data(), &scalar, sizeof scalar);
    return;
  }
  std::vector<float> numbers = decoded(bytes, dtype);
  for (float& number : numbers) {
    if (std::isnan(number)) number = std::numeric_limits<float>::quiet_NaN();
  }
  bytes = encoded(numbers, dtype);
}

std::size_t misalignment(Draw& draw, DType dtype) { return draw.below(4) * size_of(dtype); }

bool same(double a, double b) { return std::bit_cast<std::uint64_t>(a) == std::bit_cast<std::uint64_t>(b); }

std::string difference(const SavedParameter& a, const SavedParameter& b) {
  if (a.name != b.name) return "name of a parameter";
  if (a.step != b.step) {
    return "step count of " + a.name + ": " + std::to_string(a.step) + ", " + std::to_string(b.step);
  }
  if (a.accumulated != b.accumulated) return "micro-batches of " + a.name;
  if (a.gradient_sum != b.gradient_sum) return "gradient sum of " + a.name;
  if (a.states.size() != b.states.size()) return "number of states of " + a.name;
  for (std::size_t s = 0; s < a.states.size(); ++s) {
    const SavedState &one = a.states[s], &other = b.states[s];
    if (one.name == other.name && one.dtype == other.dtype && one.bytes == other.bytes) continue;
    return one.name + " of " + a.name;
  }
  return "";
}

}  // namespace

Guarded::Guarded(std::size_t bytes, std::size_t misaligned_by)
    : first_(kGuard + misaligned_by), size_(bytes), all_(2 * kGuard + misaligned_by + bytes, kSentinel) {}

std::vector<std::byte> Guarded::bytes() const {
  const auto begin = all_.begin() + static_cast<std::ptrdiff_t>(first_);
  return {begin, begin + static_cast<std::ptrdiff_t>(size_)};
}

void Guarded::write(const std::vector<std::byte>& bytes) {
  std::ranges::copy(bytes, all_.begin() + static_cast<std::ptrdiff_t>(first_));
}

bool Guarded::intact() const {
  const auto is_sentinel = [](std::byte byte) { return byte == kSentinel; };
  return std::all_of(all_.begin(), all_.begin() + static_cast<std::ptrdiff_t>(first_), is_sentinel) &&
         std::all_of(all_.begin() + static_cast<std::ptrdiff_t>(first_ + size_), all_.end(), is_sentinel);
}

std::vector<float> decoded(const std::vector<std::byte>& bytes, DType dtype) {
  if (dtype == DType::bfloat16) return decode_all<storage::BFloat16>(bytes);
  if (dtype == DType::float16) return decode_all<storage::Float16>(bytes);
  std::vector<float> numbers(bytes.size() / sizeof(float));
  if (!numbers.empty()) std::memcpy(numbers.data(), bytes.data(), bytes.size());
  return numbers;
}

std::vector<std::byte> encoded(const std::vector<float>& numbers, DType dtype) {
  if (dtype == DType::bfloat16) return encode_all<storage::BFloat16>(numbers);
  if (dtype == DType::float16) return encode_all<storage::Float16>(numbers);
  std::vector<std::byte> bytes(numbers.size() * sizeof(float));
  if (!bytes.empty()) std::memcpy(bytes.data(), numbers.data(), bytes.size());
  return bytes;
}

TensorMemory::TensorMemory(Draw& draw, const TensorPlan& plan)
    : plan(plan),
      value(static_cast<std::size_t>(plan.numel) * size_of(plan.dtype), misalignment(draw, plan.dtype)),
      grad(static_cast<std::size_t>(plan.numel) * size_of(plan.grad_dtype),
           misalignment(draw, plan.grad_dtype)),
      copy(plan.has_copy ? static_cast<std::size_t>(plan.numel) * 2 : 0,
           misalignment(draw, plan.copy_dtype)) {
  std::vector<float> numbers(static_cast<std::size_t>(plan.numel));
  for (float& number : numbers) number = static_cast<float>(draw.between(-1.0, 1.0));
  value.write(encoded(numbers, plan.dtype));
  grad.write(encoded(std::vector<float>(numbers.size(), 0.0f), plan.grad_dtype));
  if (plan.has_copy) copy.write(encoded(numbers, plan.copy_dtype));
}

Parameter TensorMemory::parameter() {
  return {.name = plan.name,
          .value = {value.data(), plan.dtype, plan.numel},
          .grad = gradient(),
          .group = plan.group,
          .first = plan.first,
          .run = plan.run,
          .pitch = plan.pitch,
          .copy = plan.has_copy ? Tensor{copy.data(), plan.copy_dtype, plan.numel} : Tensor{},
          .shape = plan.shape};
}

Tensor TensorMemory::gradient() {
  return has_grad ? Tensor{grad.data(), plan.grad_dtype, plan.numel} : Tensor{};
}

void TensorMemory::write_gradient(const std::vector<float>& numbers) {
  grad.write(encoded(numbers, plan.grad_dtype));
}

Side::Side(Draw& draw, const Setup& setup) : setup(setup) {
  for (const TensorPlan& plan : setup.tensors) memory.push_back(std::make_unique<TensorMemory>(draw, plan));
  make(draw);
}

Side::Side(Draw& draw, const Side& other) : setup(other.setup) {
  for (const auto& tensor : other.memory) {
    memory.push_back(std::make_unique<TensorMemory>(draw, tensor->plan));
    TensorMemory& mine = *memory.back();
    mine.value.write(tensor->value.bytes());
    mine.grad.write(tensor->grad.bytes());
    mine.copy.write(tensor->copy.bytes());
    mine.has_grad = tensor->has_grad;
  }
  found_inf = other.found_inf;
  grad_scale = other.grad_scale;
  weight = other.weight;
  make(draw);
}

void Side::make(Draw& draw) {
  std::vector<Parameter> parameters;
  for (const auto& tensor : memory) parameters.push_back(tensor->parameter());
  setup.options = same_result(draw, setup.options);
  optimizer = std::make_unique<Optimizer>(setup.rules, parameters, setup.options);
}

Shot Side::shot() const {
  Shot shot{.dict = optimizer->state_dict(), .values = {}, .grads = {}, .copies = {}};
  for (SavedParameter& parameter : shot.dict.parameters) {
    for (SavedState& state : parameter.states) make_nans_equal(state.bytes, state.dtype);
    make_nans_equal(parameter.gradient_sum, DType::float32);
  }
  for (const auto& tensor : memory) {
    shot.values.push_back(tensor->value.bytes());
    shot.grads.push_back(tensor->grad.bytes());
    shot.copies.push_back(tensor->copy.bytes());
    make_nans_equal(shot.values.back(), tensor->plan.dtype);
    make_nans_equal(shot.copies.back(), tensor->plan.copy_dtype);
  }
  return shot;
}

void Side::require_intact() const {
  for (const auto& tensor : memory) {
    require(tensor->value.intact() && tensor->grad.intact() && tensor->copy.intact(),
            "bytes beside " + tensor->plan.name + " were written");
  }
}

std::string difference(const StateDict& a, const StateDict& b) {
  if (a.groups != b.groups) return "hyperparameters";
  if (a.schedules != b.schedules) return "schedules";
  if (a.steps != b.steps) return "steps: " + std::to_string(a.steps) + ", " + std::to_string(b.steps);
  if (a.skipped_steps != b.skipped_steps) return "skipped steps";
  if (a.micro_batches != b.micro_batches) return "micro-batches";
  if (!same(a.accumulated_weight, b.accumulated_weight)) return "accumulated weight";
  if (!same(a.window_scale, b.window_scale)) return "scale of the window";
  if (a.dropped_micro_batches != b.dropped_micro_batches) return "dropped micro-batches";
  if (a.dropped_since_step != b.dropped_since_step) return "micro-batches dropped since the step";
  if (!same(a.loss_scale, b.loss_scale)) {
    return "loss scale: " + std::to_string(a.loss_scale) + ", " + std::to_string(b.loss_scale);
  }
  if (a.growth_tracker != b.growth_tracker) return "growth tracker";
  if (a.seed != b.seed) return "seed";
  if (a.rule != b.rule || a.lrs != b.lrs) return "fields of old dicts";
  if (a.parameters.size() != b.parameters.size()) return "number of parameters";
  for (std::size_t p = 0; p < a.parameters.size(); ++p) {
    const std::string found = difference(a.parameters[p], b.parameters[p]);
    if (!found.empty()) return found;
  }
  return "";
}

std::string difference(const Shot& a, const Shot& b) {
  if (a.values != b.values) return "parameters";
  if (a.grads != b.grads) return "gradients";
  if (a.copies != b.copies) return "copies";
  return difference(a.dict, b.dict);
}

std::vector<SavedGroup> saved(const std::vector<Rule>& rules) {
  std::vector<SavedGroup> groups;
  for (const Rule& rule : rules) {
    groups.push_back({.rule = std::string(rule.name()), .hyperparameters = {}});
    for (const Hyperparameter& one : rule.hyperparameters()) {
      groups.back().hyperparameters.push_back({one.name, rule.text(one.name)});
    }
  }
  return groups;
}

void take_steps(Draw& draw, Side& side, int steps) {
  for (int step = 0; step < steps; ++step) {
    for (auto& tensor : side.memory) {
      std::vector<float> numbers(static_cast<std::size_t>(tensor->plan.numel));
      for (float& number : numbers) number = static_cast<float>(draw.between(-1.0, 1.0));
      tensor->write_gradient(numbers);
    }
    if (side.setup.options.accumulates_gradients) side.optimizer->accumulate({.weight = 2.0});
    if (draw.chance(0.7)) side.optimizer->step();
  }
  for (std::size_t group = 0; group < side.setup.rules.size(); ++group) (void)side.optimizer->lr(group);
  (void)side.optimizer->penalty();
  side.require_intact();
}

}  // namespace onepass::fuzz
