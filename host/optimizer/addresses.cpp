// addresses.cpp - where the streams of parameters lie: the rows of the table, and how they follow memory that
// moves.
#include <algorithm>
#include <cstring>
#include <string>
#include <type_traits>
#include <utility>

#include "host/check/check_parameters.hpp"
#include "host/check/sentence.hpp"
#include "host/optimizer/memory/given_streams.hpp"
#include "host/optimizer/optimizer.hpp"
#include "step/lookup.hpp"

namespace onepass {
namespace {

/// Returns the number that tells a tensor's random bits from another's: a hash of its name (FNV-1a), so that
/// neither the order of the tensors nor their packing matters.
std::uint32_t number_of(std::string_view name) {
  std::uint32_t hash = 0x811c9dc5u;
  for (const char letter : name) hash = (hash ^ static_cast<unsigned char>(letter)) * 0x01000193u;
  return hash;
}

/// Refuses memory for a registered parameter that differs from the present one in more than its addresses, or
/// in the type of its gradient.
void check_same_kind(const Parameter& present, const Parameter& moved) {
  const auto require = [&](bool same, const std::string& what) {
    if (!same)
      refuse("set_memory was given " + quoted(moved.name) + " with " + what + " than it is registered with");
  };
  require(moved.value.numel == present.value.numel, "another number of elements");
  require(moved.value.dtype == present.value.dtype, "another dtype");
  require(moved.group == present.group, "another group");
  require(moved.first == present.first, "another first element");
  require(moved.run == present.run && moved.pitch == present.pitch, "another run or pitch");
  require(moved.storage == present.storage, "another storage");
  require(moved.shape == present.shape, "another shape");
  require((moved.copy.data == nullptr) == (present.copy.data == nullptr) &&
              (moved.copy.data == nullptr || moved.copy.dtype == present.copy.dtype),
          "another kind of copy");
}

/// Returns whether two rows have the same bytes.
template <class Row>
bool equal_bytes(const Row& a, const Row& b) {
  static_assert(std::has_unique_object_representations_v<Row>);
  return std::memcmp(&a, &b, sizeof a) == 0;
}

/// Writes the rows from the first one that has changed to the last, in the order of the CUDA stream. `to` has
/// the present rows.
template <class Row>
void write_changes(Backend& backend, const Row* to, const std::vector<Row>& present,
                   const std::vector<Row>& changed, Stream stream) {
  const auto same = [](const Row& a, const Row& b) { return equal_bytes(a, b); };
  const auto first = std::ranges::mismatch(present, changed, same).in2 - changed.begin();
  std::ptrdiff_t last = std::ssize(changed);
  const auto at = [](std::ptrdiff_t row) { return static_cast<std::size_t>(row); };
  while (last > first && same(present[at(last - 1)], changed[at(last - 1)])) --last;
  if (first == last) return;
  backend.write(const_cast<Row*>(to + first),
                std::as_bytes(std::span(changed).subspan(at(first), at(last - first))), stream);
}

}  // namespace

step::TensorEntry Optimizer::Impl::entry_of(const Roster& next, std::size_t index) const {
  const Parameter& parameter = next.parameters[index];
  step::TensorEntry entry{};
  entry.param = parameter.value.data;
  const std::vector<StreamSpec> specs = specs_of(parameter, next.formats[index]);
  std::size_t scalars = 0;
  for (std::size_t s = 0; s < specs.size(); ++s) {
    const StreamPlace& place = next.streams[index][s];
    if (specs[s].role == StreamRole::scalar) {
      entry.scalars[scalars++] = static_cast<double*>(place.data);
      continue;
    }
    if (specs[s].role == StreamRole::line) continue;  // axes_of()
    if (specs[s].role == StreamRole::slow) {
      entry.slow = static_cast<float*>(place.data);
      continue;
    }
    void*& to = specs[s].role == StreamRole::state       ? entry.states[s]
                : specs[s].role == StreamRole::remainder ? entry.remainder
                                                         : entry.ema;
    to = place.data;
    if (specs[s].scales) entry.scales[s] = place.scales;
  }
  if (keeps.ema) entry.ema_type = keeps.ema->dtype;
  entry.copy = parameter.copy.data;
  entry.copy_type = parameter.copy.dtype;
  entry.numel = parameter.value.numel;
  entry.number = number_of(parameter.name);
  entry.group = static_cast<std::uint32_t>(parameter.group);
  entry.param_type = parameter.value.dtype;
  entry.incoming_type = parameter.grad.dtype;
  entry.grad_type = accumulates ? DType::float32 : parameter.grad.dtype;
  entry.format = next.formats[index];
  entry.rule = groups.all[parameter.group].rule_type;
  const Storage& stored = storage.of(parameter);
  entry.master = stored.master;
  entry.state_storage = stored.states;
  entry.float32_states = static_cast<std::uint8_t>(variant_of(parameter).float32);
  entry.rounds_stochastically = stored.rounding == Rounding::stochastic;
  return entry;
}

step::AxisEntry Optimizer::Impl::axes_of(const Roster& of, std::size_t index) const {
  const VariantOps& variant = variant_of(of.parameters[index]);
  step::AxisEntry entry{};
  if (variant.axes.empty()) return entry;
  entry.matrices = matrices_of(of.parameters[index]);
  const std::vector<StreamSpec> specs = specs_of(of.parameters[index], of.formats[index]);
  const AxisRoom room = AxisRoom::of(entry.matrices);
  entry.row_sums = of.line_sums[index];
  entry.column_sums = entry.row_sums + room.row_sums;
  auto* numbers = reinterpret_cast<float*>(entry.column_sums + room.column_sums);
  std::size_t axis = 0;
  for (std::size_t s = 0; s < specs.size(); ++s) {
    if (specs[s].role != StreamRole::line) continue;
    entry.states[axis] = static_cast<float*>(of.streams[index][s].data);
    entry.numbers[axis] = numbers;
    entry.along[axis] = variant.axes[axis].axis;
    numbers += *specs[s].numel;
    ++axis;
  }
  return entry;
}

TableRows Optimizer::Impl::rows_of(const Roster& of, RowRange range) const {
  TableRows rows;
  for (std::size_t i = range.first; i < range.last; ++i) {
    rows.tensors.push_back(entry_of(of, i));
    if (groups.has_axes()) rows.axes.push_back(axes_of(of, i));
    (accumulates ? rows.incoming : rows.grads).push_back(of.parameters[i].grad.data);
    if (accumulates) rows.grads.push_back(of.gradient_sums[i]);
    const GivenStream* const counter = given_stream(of.parameters[i], kCounter);
    rows.counters.push_back(
        counter == nullptr
            ? step::Counter{nullptr, 0}
            : step::Counter{counter->tensor.data, counter->tensor.dtype == DType::int64 ? 1u : 0u});
  }
  return rows;
}

void Optimizer::Impl::patch_entry(std::size_t parameter, Stream stream) {
  auto* const entries = const_cast<step::TensorEntry*>(table_memory.view().tensors);
  patch(entries + parameter, entry_of(roster, parameter), stream);
}

void Optimizer::Impl::move(const std::vector<Parameter>& moved, Stream stream) {
  Roster next = roster;
  RowRange range{next.parameters.size(), 0};
  std::vector<bool> seen(next.parameters.size());
  for (const Parameter& one : moved) {
    const std::size_t i = find_parameter(one.name);
    if (seen[i]) refuse("set_memory was given " + quoted(one.name) + " twice");
    seen[i] = true;
    check_same_kind(next.parameters[i], one);
    check_given_alike(next.parameters[i], one);
    check_tensors(one, device);
    next.parameters[i] = one;
    place_given(one, specs_of(i), next.streams[i]);
    const GivenStream* const sum = given_stream(one, kGradientSum.name);
    if (sum != nullptr) next.gradient_sums[i] = sum->tensor.data;
    range = {std::min(range.first, i), std::max(range.last, i + 1)};
  }
  if (moved.empty()) return;
  check_streams(moved);
  check_apart(context(next), {});

  const step::Table& table = table_memory.view();
  const TableRows present = rows_of(roster, range), changed = rows_of(next, range);
  write_changes(*backend, table.tensors + range.first, present.tensors, changed.tensors, stream);
  if (table.axes != nullptr) {
    write_changes(*backend, table.axes + range.first, present.axes, changed.axes, stream);
  }
  write_changes(*backend, table.grads + range.first, present.grads, changed.grads, stream);
  if (accumulates) {
    write_changes(*backend, table.incoming + range.first, present.incoming, changed.incoming, stream);
  }
  if (table.counters != nullptr) {
    write_changes(*backend, table.counters + range.first, present.counters, changed.counters, stream);
  }
  roster = std::move(next);
}

void Optimizer::move_parameters(const std::vector<Parameter>& moved, Stream stream) {
  impl_->move(moved, stream);
}

}  // namespace onepass
