// rounds.cpp - steps of a part of the parameters at a time: step_some() and end_round().
#include <algorithm>
#include <numeric>
#include <string>
#include <utility>
#include <vector>

#include "host/check/sentence.hpp"
#include "host/optimizer/optimizer.hpp"

namespace onepass {
namespace {

/// Throws InvalidArgument if a parameter has been stepped in this round, or is named twice.
void check_unstepped(const Optimizer::Impl& core, std::span<const std::uint32_t> sorted) {
  for (std::size_t i = 0; i < sorted.size(); ++i) {
    const std::string& name = core.roster.parameters[sorted[i]].name;
    if (i > 0 && sorted[i] == sorted[i - 1]) refuse("step_some() was given " + quoted(name) + " twice");
    if (core.round.stepped[sorted[i]]) {
      refuse("step_some() was given " + quoted(name) + ", which this round has stepped; end_round() ends it");
    }
  }
}

/// Throws InvalidArgument, with the sweeps that there are, unless a rule of the groups has this one.
void check_sweep(const Groups& groups, std::string_view name) {
  std::vector<std::string> names;
  for (const RuleOps* const ops : groups.rule_types) {
    if (ops->sweep(name) != nullptr) return;
    for (const SweepOps& one : ops->sweeps) names.emplace_back(one.name);
  }
  refuse("no rule of this optimizer has a sweep " + quoted(name) +
         (names.empty() ? "" : "; the sweeps are: " + listed(names)));
}

/// Puts a sweep in the place of the steps of a plan, whose tensors all have it.
void use_sweep(WorkPlan& plan, const Groups& groups, std::string_view name) {
  for (Program& program : plan.programs) {
    for (const RuleOps* const ops : groups.rule_types) {
      const VariantOps* const first = ops->variants.data();
      if (program.variant >= first && program.variant < first + ops->variants.size()) {
        program.variant = &ops->sweep(name)->variant;
        break;
      }
    }
  }
}

}  // namespace

void Optimizer::Impl::require_none_begun(const char* function) const {
  if (!begun) return;
  refuse(std::string(function) + "() was called after begin_step(); finish_step() ends the step");
}

void Optimizer::Impl::require_no_round(const char* function) const {
  require_none_begun(function);
  if (!round.is_open()) return;
  refuse(std::string(function) + "() was called in the middle of a round; end_round() ends it");
}

void Optimizer::Impl::forget_parts() {
  perturb_memory = {};
  round = {};
  round.stepped.resize(roster.parameters.size(), false);
}

RoundPart Optimizer::Impl::made_part(const std::vector<std::uint32_t>& which, const char* function,
                                     std::string_view sweep, Stream stream) const {
  if (backend->is_capturing(stream)) {
    refuse(std::string(function) +
           "() is being captured for these parameters, but must have been called with them before");
  }
  TableContents contents;
  contents.rows = rows_of(roster, {0, roster.parameters.size()});
  cut(roster, contents);
  const auto is_other = [&](const auto& one) { return !std::ranges::binary_search(which, one.tensor); };
  std::erase_if(contents.chunks, is_other);
  std::erase_if(contents.pieces, is_other);
  WorkPlan plan = plan_of(roster, contents, which);
  if (!sweep.empty()) use_sweep(plan, groups, sweep);
  return {.chunks = table_memory.copy_of(contents.chunks),
          .pieces = table_memory.copy_of(contents.pieces),
          .chosen = table_memory.copy_of(which),
          .axis_tiles = table_memory.copy_of(contents.axis_work.tiles),
          .axis_lines = table_memory.copy_of(contents.axis_work.lines),
          .axis_matrices = table_memory.copy_of(contents.axis_work.matrices),
          .chunk_count = std::ssize(contents.chunks),
          .piece_count = std::ssize(contents.pieces),
          .chosen_count = std::ssize(which),
          .work = backend->plan_part(plan)};
}

RoundPart& Optimizer::Impl::part_of(const std::vector<std::uint32_t>& which, Stream stream) {
  const auto known = round.parts.find(which);
  if (known != round.parts.end()) return known->second;
  return round.parts.emplace(which, made_part(which, "step_some", {}, stream)).first->second;
}

step::Table Optimizer::Impl::table_of(const RoundPart& part) const {
  step::Table table = table_memory.view();
  table.chunks = part.chunks.as<const step::Chunk>();
  table.chunk_count = part.chunk_count;
  table.pieces = part.pieces.as<const step::Piece>();
  table.piece_count = part.piece_count;
  table.axis_tiles = part.axis_tiles.as<const step::AxisTile>();
  table.axis_lines = part.axis_lines.as<const step::AxisPart>();
  table.axis_matrices = part.axis_matrices.as<const step::AxisPart>();
  table.chosen = part.chosen.as<const std::uint32_t>();
  table.chosen_count = part.chosen_count;
  return table;
}

void Optimizer::Impl::step_some(std::vector<std::uint32_t> which, Stream stream) {
  require_none_begun("step_some");
  if (const RuleOps* const ops = groups.summing_over_model()) {
    refuse("step_some() cannot step a part of the model with " + std::string(ops->name) +
           ", whose steps follow from sums over all parameters");
  }
  std::ranges::sort(which);
  check_unstepped(*this, which);
  if (which.empty()) return;
  RoundPart& part = part_of(which, stream);
  restore(stream);
  backend->step_part(table_of(part), measured(), *part.work, stream);
  for (const std::uint32_t tensor : which) round.stepped[tensor] = true;
}

void Optimizer::Impl::sweep(std::string_view name, Stream stream) {
  require_no_round("sweep");
  check_sweep(groups, name);
  if (accumulates) refuse("sweep(" + quoted(name) + ") reads gradients, but this optimizer accumulates them");
  auto known = round.sweeps.find(name);
  if (known == round.sweeps.end()) {
    std::vector<std::uint32_t> which;
    for (std::size_t i = 0; i < roster.parameters.size(); ++i) {
      const Group& group = groups.all[roster.parameters[i].group];
      if (group.rule.ops().sweep(name) != nullptr) which.push_back(static_cast<std::uint32_t>(i));
    }
    known = round.sweeps.emplace(name, made_part(which, "sweep", name, stream)).first;
  }
  if (known->second.chosen_count == 0) return;
  restore(stream);
  step::Table table = table_of(known->second);
  table.sweeps = 1;
  backend->step_part(table, measured(), *known->second.work, stream);
}

void Optimizer::sweep(std::string_view name, Stream stream) { impl_->sweep(name, stream); }

void Optimizer::step_some(std::span<const std::size_t> which, Stream stream) {
  std::vector<std::uint32_t> numbers;
  for (const std::size_t i : which) {
    if (i >= parameter_count()) {
      refuse("step_some() was given parameter " + std::to_string(i) + ", but there are " +
             std::to_string(parameter_count()));
    }
    numbers.push_back(static_cast<std::uint32_t>(i));
  }
  impl_->step_some(std::move(numbers), stream);
}

void Optimizer::step_some(std::span<const std::string> which, Stream stream) {
  std::vector<std::uint32_t> numbers;
  for (const std::string& name : which) {
    numbers.push_back(static_cast<std::uint32_t>(impl_->find_parameter(name)));
  }
  impl_->step_some(std::move(numbers), stream);
}

void Optimizer::end_round(Stream stream) {
  impl_->backend->end_round(impl_->table_memory.view(), stream);
  std::fill(impl_->round.stepped.begin(), impl_->round.stepped.end(), false);
}

}  // namespace onepass
