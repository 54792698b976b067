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

}  // namespace

void Optimizer::Impl::require_no_round(const char* function) const {
  if (!round.is_open()) return;
  refuse(std::string(function) + "() was called in the middle of a round; end_round() ends it");
}

void Optimizer::Impl::forget_parts() {
  round = {};
  round.stepped.resize(roster.parameters.size(), false);
}

RoundPart& Optimizer::Impl::part_of(const std::vector<std::uint32_t>& which, Stream stream) {
  const auto known = round.parts.find(which);
  if (known != round.parts.end()) return known->second;
  if (backend->is_capturing(stream)) {
    refuse("step_some() is being captured for these parameters, but must have been called with them before");
  }
  TableContents contents;
  contents.rows = rows_of(roster, {0, roster.parameters.size()});
  cut(roster, contents);
  const auto is_other = [&](const auto& one) { return !std::ranges::binary_search(which, one.tensor); };
  std::erase_if(contents.chunks, is_other);
  std::erase_if(contents.pieces, is_other);
  const WorkPlan plan = plan_of(roster, contents, which);
  RoundPart part{.chunks = table_memory.copy_of(contents.chunks),
                 .pieces = table_memory.copy_of(contents.pieces),
                 .chosen = table_memory.copy_of(which),
                 .chunk_count = std::ssize(contents.chunks),
                 .piece_count = std::ssize(contents.pieces),
                 .work = backend->plan_part(plan)};
  return round.parts.emplace(which, std::move(part)).first->second;
}

void Optimizer::Impl::step_some(std::vector<std::uint32_t> which, Stream stream) {
  std::ranges::sort(which);
  check_unstepped(*this, which);
  if (which.empty()) return;
  RoundPart& part = part_of(which, stream);
  step::Table table = table_memory.view();
  table.chunks = part.chunks.as<const step::Chunk>();
  table.chunk_count = part.chunk_count;
  table.pieces = part.pieces.as<const step::Piece>();
  table.piece_count = part.piece_count;
  table.chosen = part.chosen.as<const std::uint32_t>();
  table.chosen_count = std::ssize(which);
  backend->step_part(table, measured(), *part.work, stream);
  for (const std::uint32_t tensor : which) round.stepped[tensor] = true;
}

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
