// states.cpp - the functions of Optimizer that find and read the streams and step counts of a parameter.
#include <algorithm>
#include <string>
#include <utility>

#include "host/check/sentence.hpp"
#include "host/optimizer/memory/given_streams.hpp"
#include "host/optimizer/optimizer.hpp"
#include "step/decide_step.hpp"

namespace onepass {
namespace {

/// The largest count that a counter holds.
std::int64_t most_in(const Tensor& counter) {
  return counter.dtype == DType::float32 ? step::kMostFloat32Steps : schedule::kMostSteps;
}

/// The contents of a counter of the caller's.
struct Held {
  bool is_count;       ///< Whether it is a whole number from 0 to most_in().
  std::int64_t count;  ///< If it is.
  std::string text;
};

Held read_counter(const Tensor& counter, Stream stream) {
  std::int64_t whole = 0;
  float real = 0.0f;
  void* const to = counter.dtype == DType::float32 ? static_cast<void*>(&real) : &whole;
  copy({Device::cpu(), to}, {counter.device, counter.data}, counter.bytes(), stream);
  const std::int64_t most = most_in(counter);
  if (counter.dtype == DType::int64) return {whole >= 0 && whole <= most, whole, std::to_string(whole)};
  const bool fits = real >= 0.0f && real <= static_cast<float>(most);
  whole = fits ? static_cast<std::int64_t>(real) : 0;
  return {fits && static_cast<float>(whole) == real, whole, number(real)};
}

/// "step of "w" holds 0.5, but a float32 counter holds a whole number from 0 to 16777215"
std::string sentence(const std::string& parameter, const Tensor& counter, const Held& held,
                     std::int64_t most) {
  return "step of " + quoted(parameter) + " holds " + held.text + ", but a " + to_string(counter.dtype) +
         " counter must hold a whole number from 0 to " + std::to_string(most) +
         (held.is_count && counter.dtype == DType::float32 ? " to count further; an int64 counts to 2^53"
                                                           : "");
}

}  // namespace

std::size_t Optimizer::Impl::find_parameter(std::string_view name) const {
  const auto found = roster.index_by_name.find(std::string(name));
  if (found == roster.index_by_name.end()) refuse("there is no parameter " + quoted(name));
  return found->second;
}

Tensor Optimizer::Impl::find_stream(std::size_t parameter, std::string_view name) const {
  const std::vector<StreamSpec> specs = specs_of(parameter);
  std::vector<std::string> names;
  for (std::size_t s = 0; s < specs.size(); ++s) {
    for (const StreamPart& part : specs[s].parts(Shard::of(roster.parameters[parameter]))) {
      if (part.name == name) {
        return {roster.streams[parameter][s].part(part.are_scales), part.dtype, part.numel, device};
      }
      names.push_back(part.name);
    }
  }
  refuse("there is no state " + quoted(name) + "; the states are: " + listed(names));
}

Tensor Optimizer::state(std::string_view parameter, std::string_view state) {
  return impl_->find_stream(impl_->find_parameter(parameter), state);
}

Tensor Optimizer::Impl::gradient_sum(std::size_t parameter) const {
  return {static_cast<float*>(roster.gradient_sums[parameter]), roster.parameters[parameter].value.numel,
          device};
}

SavedParameter Optimizer::Impl::saved(std::size_t parameter, Stream stream) const {
  SavedParameter saved;
  saved.name = roster.parameters[parameter].name;
  const Shard shard = Shard::of(roster.parameters[parameter]);
  const std::vector<StreamSpec> specs = specs_of(parameter);
  for (std::size_t s = 0; s < specs.size(); ++s) {
    SavedState state{specs[s].name, specs[s].dtype, std::vector<std::byte>(specs[s].bytes(shard))};
    for (const StreamPart& part : specs[s].parts(shard)) {
      std::byte* const to = state.bytes.data() + (part.are_scales ? step::scales_at(shard.numel) : 0);
      const void* const from = roster.streams[parameter][s].part(part.are_scales);
      copy({Device::cpu(), to}, {device, from}, part.bytes(), stream);
    }
    saved.states.push_back(std::move(state));
  }
  return saved;
}

void Optimizer::Impl::check_counters(std::span<const Parameter> added) const {
  for (const Parameter& parameter : added) {
    const GivenStream* const counter = given_stream(parameter, kCounter);
    if (counter == nullptr || counter->contents == Contents::first) continue;
    const Held held = read_counter(counter->tensor, {});
    const std::int64_t most = most_in(counter->tensor) - 1;
    if (!held.is_count || held.count > most) refuse(sentence(parameter.name, counter->tensor, held, most));
  }
}

void Optimizer::Impl::start_counters(std::span<const Parameter> added) const {
  for (const Parameter& parameter : added) {
    const GivenStream* const counter = given_stream(parameter, kCounter);
    if (counter == nullptr || counter->contents == Contents::present) continue;
    fill_zero({device, counter->tensor.data}, counter->tensor.bytes());
  }
}

std::vector<std::int64_t> Optimizer::Impl::step_counts(Stream stream) const {
  std::vector<std::int64_t> counts = table_memory.read_counts(table_memory.view().steps, stream);
  for (std::size_t i = 0; i < counts.size(); ++i) {
    const GivenStream* const counter = given_stream(roster.parameters[i], kCounter);
    if (counter == nullptr) continue;
    const Held held = read_counter(counter->tensor, stream);
    if (!held.is_count) {
      refuse(sentence(roster.parameters[i].name, counter->tensor, held, most_in(counter->tensor)));
    }
    counts[i] = held.count;
  }
  return counts;
}

void Optimizer::Impl::write_counter(std::size_t parameter, std::int64_t steps, Stream stream) const {
  const GivenStream* const counter = given_stream(roster.parameters[parameter], kCounter);
  if (counter == nullptr) return;
  const auto real = static_cast<float>(steps);
  const void* const from = counter->tensor.dtype == DType::float32 ? static_cast<const void*>(&real) : &steps;
  copy({device, counter->tensor.data}, {Device::cpu(), from}, counter->tensor.bytes(), stream);
}

void Optimizer::Impl::report_miscounted(std::uint64_t parameter, Stream stream) {
  if (parameter == step::kNowhere) return;
  patch(&control().progress.miscounted, step::kNowhere, stream);
  const Parameter& left_out = roster.parameters[parameter];
  const Tensor& counter = given_stream(left_out, kCounter)->tensor;
  const Held held = read_counter(counter, stream);
  const std::int64_t most = most_in(counter) - 1;
  const bool is_right_now = held.is_count && held.count <= most;
  refuse("a step left out " + quoted(left_out.name) + ", because " +
         (is_right_now ? "its counter held no whole number from 0 to " + std::to_string(most) + " then"
                       : sentence(left_out.name, counter, held, most)));
}

std::int64_t Optimizer::step_count(std::string_view parameter, Stream stream) const {
  const std::size_t index = impl_->find_parameter(parameter);
  const GivenStream* const counter = given_stream(impl_->roster.parameters[index], kCounter);
  if (counter == nullptr) {
    return impl_->table_memory.read(impl_->table_memory.view().steps + index, stream);
  }
  const Held held = read_counter(counter->tensor, stream);
  if (held.is_count) return held.count;
  refuse(sentence(std::string(parameter), counter->tensor, held, most_in(counter->tensor)));
}

std::int64_t Optimizer::steps(Stream stream) const { return impl_->progress(stream).steps; }

std::int64_t Optimizer::skipped_steps(Stream stream) const { return impl_->progress(stream).skipped; }

}  // namespace onepass
