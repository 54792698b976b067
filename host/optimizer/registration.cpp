// registration.cpp - how parameters join and leave an Optimizer, and the table that is built of them.
#include <algorithm>
#include <array>
#include <numeric>
#include <string>
#include <utility>

#include "host/backend/plan.hpp"
#include "host/check/sentence.hpp"
#include "host/optimizer/gradient_settings.hpp"
#include "host/optimizer/optimizer.hpp"
#include "step/start.hpp"

namespace onepass {
namespace {

/// Returns the counts of the kept tensors.
std::vector<std::int64_t> counts_of(std::span<const std::size_t> kept,
                                    const std::vector<std::int64_t>& counts) {
  std::vector<std::int64_t> some;
  for (const std::size_t tensor : kept) some.push_back(counts[tensor]);
  return some;
}

}  // namespace

TableContents Optimizer::Impl::contents_of(const Roster& next, std::span<const std::size_t> kept) const {
  TableContents contents;
  contents.control = fresh_control(settings);
  if (is_built()) {
    contents.control.progress = progress({});
    contents.steps = counts_of(kept, table_memory.read_counts(table_memory.view().steps, {}));
    contents.accumulated = counts_of(kept, table_memory.read_counts(table_memory.view().accumulated, {}));
    contents.group_norms = table_memory.read_norms();
  }
  contents.steps.resize(next.parameters.size(), 0);
  contents.accumulated.resize(next.parameters.size(), 0);
  contents.group_norms.resize(groups.count(), 0.0);
  contents.rows = rows_of(next, {0, next.parameters.size()});
  contents.chunks = make_chunks(next.numels(), chunk_size);
  contents.pieces = make_chunks(next.numels(), step::kReduceChunk);
  contents.chunk_size = chunk_size;
  contents.rules = groups.bytes_of(groups.rules());
  contents.rule_bytes = groups.rule_bytes();
  contents.penalties = ScaledPenalties::of(groups.rules()).of_groups;
  for (const Group& group : groups.all) contents.schedules.push_back(group.schedule_memory.view);
  contents.coefficient_bytes = groups.coefficient_bytes();
  return contents;
}

Enrolled Optimizer::Impl::allocate(std::span<const Parameter> added) const {
  Enrolled enrolled;
  std::vector<std::vector<StreamSpec>> specs, sums;
  for (const Parameter& parameter : added) {
    enrolled.formats.push_back(format_of(parameter, storage.of(parameter)));
    specs.push_back(specs_of(parameter, enrolled.formats.back()));
    sums.push_back({{"gradient_sum", StreamRole::state, DType::float32, false}});
  }
  enrolled.streams = StateMemory::allocate(device, added, specs);
  if (accumulates) enrolled.gradient_sums = StateMemory::allocate(device, added, sums);
  return enrolled;
}

WorkPlan Optimizer::Impl::plan_of(const Roster& next, TableContents& contents) const {
  WorkPlan plan;
  std::vector<std::size_t> program_of_tensor;
  for (std::size_t i = 0; i < next.parameters.size(); ++i) {
    const Program program{&variant_of(next.parameters[i]), next.formats[i]};
    const auto known = std::ranges::find(plan.programs, program);
    program_of_tensor.push_back(static_cast<std::size_t>(known - plan.programs.begin()));
    if (known == plan.programs.end()) plan.programs.push_back(program);
  }
  for (std::uint32_t type = 0; type < groups.rule_types.size(); ++type) {
    const auto has_type = [&](const step::TensorEntry& tensor) { return tensor.rule == type; };
    if (std::ranges::any_of(contents.rows.tensors, has_type))
      plan.rules.push_back({groups.rule_types[type], type});
  }
  // A step without parameters counts too, and prepare counts it.
  if (plan.rules.empty()) plan.rules.push_back({groups.rule_types[0], 0});
  if (plan.rules.size() == 1) plan.rules[0].number = step::kEveryRule;
  plan.runs = sort_by_program(contents.chunks, program_of_tensor);
  plan.chunks = element_offsets(contents.chunks, next.numels(), chunk_size);
  plan.pieces = element_offsets(contents.pieces, next.numels(), step::kReduceChunk);
  plan.groups = groups.count();
  plan.has_followers = std::ranges::any_of(contents.rows.tensors, &step::TensorEntry::has_followers);
  plan.bytes = 0.0;
  for (const StreamBytes& stream : memory_of(next)) plan.bytes += stream.bytes;
  return plan;
}

void Optimizer::Impl::enroll(std::vector<Parameter> added) {
  check_parameters(context(), added, device);
  if (!is_built()) check_storage(storage, added);
  backend->wait();
  Enrolled enrolled = allocate(added);
  const std::array allocations{enrolled.streams.bytes(), enrolled.gradient_sums.bytes()};
  std::vector<std::size_t> kept(roster.parameters.size());
  std::iota(kept.begin(), kept.end(), std::size_t{0});
  Roster next = roster;
  next.append(std::move(added), std::move(enrolled));

  TableContents contents = contents_of(next, kept);
  const WorkPlan plan = plan_of(next, contents);
  TableMemory built(device, contents);
  const auto first = static_cast<std::uint32_t>(kept.size());
  const bool copies = std::any_of(contents.rows.tensors.begin() + first, contents.rows.tensors.end(),
                                  [](const step::TensorEntry& tensor) { return step::has_copies(tensor); });
  backend->start(built.view(), plan, {first, allocations, copies});
  backend->plan(plan);

  roster = std::move(next);
  table_memory = std::move(built);
}

std::vector<std::size_t> Optimizer::Impl::all_but(std::span<const std::string> names) const {
  std::vector<bool> removed(roster.parameters.size());
  for (const std::string& name : names) {
    const std::size_t parameter = find_parameter(name);
    if (removed[parameter]) refuse("remove_parameters was given " + quoted(name) + " twice");
    removed[parameter] = true;
  }
  std::vector<std::size_t> kept;
  for (std::size_t i = 0; i < removed.size(); ++i) {
    if (!removed[i]) kept.push_back(i);
  }
  return kept;
}

void Optimizer::Impl::remove(std::span<const std::string> names) {
  const std::vector<std::size_t> kept = all_but(names);
  backend->wait();
  Roster next = roster.only(kept);
  TableContents contents = contents_of(next, kept);
  contents.control.progress.nonfinite = place_among(kept, contents.control.progress.nonfinite);
  const WorkPlan plan = plan_of(next, contents);
  TableMemory built(device, contents);
  backend->plan(plan);

  roster = std::move(next);
  table_memory = std::move(built);
}

void Optimizer::register_parameters(std::vector<Parameter> parameters) {
  impl_->enroll(std::move(parameters));
}

void Optimizer::remove_parameters(std::span<const std::string> names) { impl_->remove(names); }

}  // namespace onepass
