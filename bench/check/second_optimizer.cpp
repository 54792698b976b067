// second_optimizer.cpp - restores the states of a window in an optimizer of its own, and steps once.
#include "bench/check/second_optimizer.hpp"

#include <algorithm>
#include <cstring>
#include <span>
#include <string_view>
#include <vector>

#include "bench/data/model.hpp"
#include "onepass/optimizer.hpp"
#include "step/table.hpp"

namespace onepass::bench {
namespace {

/// The bytes of one state in a window. Formats without scales have none.
struct StateBytes {
  std::vector<std::byte>& elements;
  std::vector<std::byte>* scales;
};

/// Returns the bytes of a state that the optimizer calls `name`, which may be the master or the remainder.
StateBytes find_state(const ReferenceStep& step, Bytes& bytes, std::string_view name) {
  const std::span<const char* const> names = step.rule.rule.state_names();
  const auto found = std::ranges::find(names, name, [](const char* one) { return std::string_view(one); });
  if (found == names.end()) return {bytes.remainder, nullptr};
  const auto s = static_cast<std::size_t>(found - names.begin());
  return {bytes.states[s], bytes.scales[s].empty() ? nullptr : &bytes.scales[s]};
}

/// Calls work(bytes of a saved state, bytes of a window) for each part of each state. Both have equal sizes.
template <class Work>
void for_each_state(const ReferenceStep& step, SavedParameter& saved, std::int64_t numel, Bytes& bytes,
                    const Work& work) {
  for (SavedState& state : saved.states) {
    if (state.dtype == DType::float64) continue;
    const StateBytes at = find_state(step, bytes, state.name);
    const std::span all(state.bytes);
    work(all.first(at.elements.size()), std::span(at.elements));
    if (at.scales == nullptr) continue;
    work(all.subspan(static_cast<std::size_t>(step::scales_at(numel)), at.scales->size()),
         std::span(*at.scales));
  }
}

/// Writes the scalars that a parameter carries.
void carry(SavedParameter& saved, std::span<const double> scalars) {
  auto scalar = scalars.begin();
  for (SavedState& state : saved.states) {
    if (state.dtype == DType::float64) std::memcpy(state.bytes.data(), &*scalar++, sizeof(double));
  }
}

/// A window is a shard of its tensor: it has the tensor's name and begins at Parameter::first, so it draws
/// the random bits of the whole tensor.
Parameter parameter_of(const ReferenceStep& step, const Part& window, Bytes& bytes) {
  const std::int64_t numel = window.end - window.begin;
  return {.name = tensor_name(window.tensor),
          .value = Tensor(bytes.param.data(), step.format.param, numel),
          .grad = Tensor(bytes.grad.data(), step.format.grad, numel),
          .first = window.begin};
}

}  // namespace

Bytes moved_by_second_optimizer(const ReferenceStep& step, const Part& window, const Bytes& before) {
  using Span = std::span<std::byte>;
  Bytes bytes = before;
  const Parameter parameter = parameter_of(step, window, bytes);
  const std::int64_t numel = parameter.value.numel;
  Optimizer optimizer(step.rule.rule, std::vector{parameter},
                      {.threads = 1,
                       .isa = Isa::baseline,
                       .storage = step.format.low(),
                       .float32_storage = step.format.wide(),
                       .seed = step.seed});
  StateDict dict = optimizer.state_dict();
  dict.steps = dict.parameters.front().step = step.t - 1;
  for_each_state(step, dict.parameters.front(), numel, bytes,
                 [](Span saved, Span own) { std::ranges::copy(own, saved.begin()); });
  carry(dict.parameters.front(), step.scalars);
  optimizer.load_state_dict(dict);
  optimizer.step();
  dict = optimizer.state_dict();
  for_each_state(step, dict.parameters.front(), numel, bytes,
                 [](Span saved, Span own) { std::ranges::copy(saved, own.begin()); });
  return bytes;
}

}  // namespace onepass::bench
