// registration.cpp - how parameters join and leave an Optimizer, and the table that is built of them.
#include <algorithm>
#include <iterator>
#include <numeric>
#include <string>
#include <utility>

#include "host/backend/plan.hpp"
#include "host/check/sentence.hpp"
#include "host/optimizer/gradient_settings.hpp"
#include "host/optimizer/memory/given_streams.hpp"
#include "host/optimizer/optimizer.hpp"
#include "step/start.hpp"

namespace onepass {
namespace {

/// Returns the numbers of the kept tensors.
template <class Number>
std::vector<Number> kept_of(std::span<const std::size_t> kept, const std::vector<Number>& numbers) {
  std::vector<Number> some;
  for (const std::size_t tensor : kept) some.push_back(numbers[tensor]);
  return some;
}

/// Returns whether the update of a tensor depends on where its elements lie in the logical tensor: whether it
/// may draw random bits, or keeps scales.
bool needs_place(const step::TensorEntry& tensor) {
  const bool is_low = tensor.param_type != DType::float32 && tensor.master == Master::none;
  const bool rounds = is_low || tensor.state_storage == States::bfloat16;
  return (tensor.rounds_stochastically && rounds) || tensor.master == Master::remainder8 ||
         tensor.state_storage == States::quantized8 ||
         (tensor.ema != nullptr && tensor.ema_type == DType::bfloat16);
}

/// Returns how the tensors of a roster are cut into chunks. Those whose update needs no place are cut as
/// whole tensors, so that no run or first element of theirs costs a chunk.
std::vector<Shard> cut_shards(const Roster& of, std::span<const step::TensorEntry> tensors) {
  std::vector<Shard> shards;
  for (std::size_t i = 0; i < tensors.size(); ++i) {
    const Parameter& parameter = of.parameters[i];
    shards.push_back(needs_place(tensors[i]) ? Shard::of(parameter) : Shard::whole(parameter.value.numel));
  }
  return shards;
}

/// New parameters whose streams get their first contents.
struct Starting {
  Roster roster;                              ///< Streams that have their contents are null.
  std::vector<std::span<std::byte>> to_zero;  ///< Memory of the caller's that begins as zeros.
  bool goes_on;                               ///< Whether any stream has its contents.

  /// Adds a stream of a parameter, which lies at a place of the roster.
  void add(const Parameter& parameter, const StreamSpec& spec, StreamPlace& place) {
    for (const StreamPart& part : spec.parts(Shard::of(parameter))) {
      const GivenStream* const given = given_stream(parameter, part.name);
      if (given == nullptr) continue;
      void*& to = place.part(part.are_scales);
      if (given->contents == Contents::present) {
        goes_on = true;
        to = nullptr;
      } else if (spec.begins_as_zeros()) {
        to_zero.emplace_back(static_cast<std::byte*>(to), part.bytes());
      }
    }
  }
};

}  // namespace

TableContents Optimizer::Impl::contents_of(const Roster& next, std::span<const std::size_t> kept) const {
  TableContents contents;
  contents.control = fresh_control(settings);
  if (is_built()) {
    const step::Table& present = table_memory.view();
    contents.control.progress = progress({});
    contents.steps = kept_of(kept, table_memory.read_counts(present.steps, {}));
    contents.accumulated = kept_of(kept, table_memory.read_counts(present.accumulated, {}));
    contents.group_norms = table_memory.read_norms(present.group_norms, present.group_count);
    contents.tensor_norms =
        kept_of(kept, table_memory.read_norms(present.tensor_norms, present.tensor_count));
  }
  contents.steps.resize(next.parameters.size(), 0);
  contents.accumulated.resize(next.parameters.size(), 0);
  contents.group_norms.resize(groups.count(), 0.0);
  contents.tensor_norms.resize(next.parameters.size(), 0.0);
  contents.rows = rows_of(next, {0, next.parameters.size()});
  cut(next, contents);
  contents.rules = groups.bytes_of(groups.rules());
  contents.rule_bytes = groups.rule_bytes();
  contents.penalties = ScaledPenalties::of(groups.rules()).of_groups;
  for (const Group& group : groups.all) contents.schedules.push_back(group.schedule_memory.view);
  contents.coefficient_bytes = groups.coefficient_bytes();
  contents.sum_count = groups.sum_count(contents.rows.tensors.size());
  return contents;
}

void Optimizer::Impl::cut(const Roster& next, TableContents& contents) const {
  contents.chunks = make_chunks(cut_shards(next, contents.rows.tensors), chunk_size);
  contents.pieces = make_pieces(next.numels());
}

AxisWork Optimizer::Impl::axis_work_of(const Roster& next, std::span<const std::size_t> program_of_tensor,
                                       std::span<const std::uint32_t> numbers) const {
  std::vector<std::uint32_t> of_matrices;
  std::ranges::copy_if(numbers, std::back_inserter(of_matrices),
                       [&](std::uint32_t i) { return !variant_of(next.parameters[i]).axes.empty(); });
  std::ranges::stable_sort(of_matrices, {}, [&](std::uint32_t i) { return program_of_tensor[i]; });
  AxisWork work;
  for (const std::uint32_t i : of_matrices) {
    const bool has_columns =
        std::ranges::any_of(variant_of(next.parameters[i]).axes,
                            [](const rule::AxisState& state) { return state.axis == rule::Axis::columns; });
    work.add(program_of_tensor[i], i, matrices_of(next.parameters[i]), has_columns,
             device.is_cuda() ? 1 : step::kMostStripes);
  }
  return work;
}

Enrolled Optimizer::Impl::allocate(std::span<const Parameter> added) const {
  Enrolled enrolled;
  std::vector<std::vector<StreamSpec>> specs, sums, line_sums;
  for (const Parameter& parameter : added) {
    enrolled.formats.push_back(format_of(parameter, storage.of(parameter)));
    check_slow(keeps, parameter, enrolled.formats.back());
    specs.push_back(specs_of(parameter, enrolled.formats.back()));
    sums.push_back({kGradientSum});
    line_sums.push_back({line_sums_of(variant_of(parameter), matrices_of(parameter))});
  }
  enrolled.line_sums = StateMemory::allocate(device, added, line_sums);
  enrolled.streams = StateMemory::allocate(device, added, specs);
  if (accumulates) enrolled.gradient_sums = StateMemory::allocate(device, added, sums);
  return enrolled;
}

WorkPlan Optimizer::Impl::plan_of(const Roster& next, TableContents& contents) const {
  std::vector<std::uint32_t> all(next.parameters.size());
  std::iota(all.begin(), all.end(), 0u);
  return plan_of(next, contents, all);
}

WorkPlan Optimizer::Impl::plan_of(const Roster& next, TableContents& contents,
                                  std::span<const std::uint32_t> numbers) const {
  WorkPlan plan;
  std::vector<std::size_t> program_of_tensor;
  for (std::size_t i = 0; i < next.parameters.size(); ++i) {
    const bool takes_sums = groups.all[next.parameters[i].group].takes_sums();
    const Program program{&variant_of(next.parameters[i]), next.formats[i], takes_sums};
    const auto known = std::ranges::find(plan.programs, program);
    program_of_tensor.push_back(static_cast<std::size_t>(known - plan.programs.begin()));
    if (known == plan.programs.end()) {
      plan.programs.push_back(program);
    } else {
      known->takes_sums |= takes_sums;
    }
  }
  for (std::uint32_t type = 0; type < groups.rule_types.size(); ++type) {
    const auto has_type = [&](std::uint32_t i) { return contents.rows.tensors[i].rule == type; };
    if (std::ranges::any_of(numbers, has_type))
      plan.rules.push_back({groups.rule_types[type], type, groups.takes_sums(type)});
  }
  // A step without parameters counts too, and prepare counts it.
  if (plan.rules.empty()) plan.rules.push_back({groups.rule_types[0], 0, false});
  if (plan.rules.size() == 1) plan.rules[0].number = step::kEveryRule;
  plan.runs = sort_by_program(contents.chunks, program_of_tensor);
  plan.chunks = element_offsets(contents.chunks);
  plan.pieces = element_offsets(contents.pieces, next.numels());
  contents.axis_work = axis_work_of(next, program_of_tensor, numbers);
  plan.axis_runs = contents.axis_work.runs;
  plan.axis_tiles = element_offsets(contents.axis_work.tiles, contents.rows.axes);
  plan.axis_lines = line_offsets(contents.axis_work.lines);
  plan.axis_matrices = line_offsets(contents.axis_work.matrices);
  plan.groups = groups.count();
  plan.has_followers =
      keeps.lookahead || std::ranges::any_of(contents.rows.tensors, &step::TensorEntry::has_followers);
  plan.bytes = 0.0;
  for (const StreamBytes& stream : memory_of(next)) plan.bytes += stream.bytes;
  return plan;
}

void Optimizer::Impl::check_streams(std::span<const Parameter> parameters) const {
  for (const Parameter& parameter : parameters) {
    std::vector<StreamSpec> specs = specs_of(parameter, format_of(parameter, storage.of(parameter)));
    if (accumulates) specs.push_back(kGradientSum);
    check_given(parameter, specs, device);
  }
}

void Optimizer::Impl::start(const Roster& next, std::size_t first, const TableContents& contents,
                            const WorkPlan& plan, const TableMemory& built) const {
  Starting starting{.roster = next, .to_zero = {}, .goes_on = false};
  for (std::size_t i = first; i < next.parameters.size(); ++i) {
    const std::vector<StreamSpec> specs = specs_of(next.parameters[i], next.formats[i]);
    for (std::size_t s = 0; s < specs.size(); ++s) {
      starting.add(next.parameters[i], specs[s], starting.roster.streams[i][s]);
    }
    if (!accumulates) continue;
    StreamPlace sum{next.gradient_sums[i], nullptr};
    starting.add(next.parameters[i], kGradientSum, sum);
    starting.roster.gradient_sums[i] = sum.data;
  }
  if (first < next.parameters.size()) next.registrations.back()->append_to(starting.to_zero);

  const RowRange all{0, next.parameters.size()};
  const TableRows rows = starting.goes_on ? rows_of(starting.roster, all) : contents.rows;
  if (starting.goes_on) built.write(rows);
  const bool copies =
      std::any_of(rows.tensors.begin() + static_cast<std::ptrdiff_t>(first), rows.tensors.end(),
                  [](const step::TensorEntry& tensor) { return step::has_copies(tensor); });
  start_counters(std::span(next.parameters).subspan(first));
  backend->start(built.view(), plan,
                 {static_cast<std::uint32_t>(first), std::move(starting.to_zero), copies});
  if (starting.goes_on) built.write(contents.rows);
}

void Optimizer::Impl::enroll(std::vector<Parameter> added) {
  require_no_round("add_parameters");
  require_unperturbed("add_parameters");
  check_parameters(context(), added, device);
  if (!is_built()) check_storage(storage, added);
  for (const Parameter& parameter : added) groups.check_matrices(parameter);
  check_averages(groups.rules(), added);
  check_streams(added);
  check_apart(context(), added);
  check_counters(added);
  backend->wait();
  Enrolled enrolled = allocate(added);
  std::vector<std::size_t> kept(roster.parameters.size());
  std::iota(kept.begin(), kept.end(), std::size_t{0});
  Roster next = roster;
  next.append(std::move(added), std::move(enrolled));

  TableContents contents = contents_of(next, kept);
  const WorkPlan plan = plan_of(next, contents);
  TableMemory built(device, contents);
  start(next, kept.size(), contents, plan, built);
  backend->plan(plan);

  roster = std::move(next);
  table_memory = std::move(built);
  for (const Parameter& parameter : roster.parameters) groups.add_state_names(variant_of(parameter));
  forget_parts();
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
  require_no_round("remove_parameters");
  require_unperturbed("remove_parameters");
  const std::vector<std::size_t> kept = all_but(names);
  backend->wait();
  Roster next = roster.only(kept);
  TableContents contents = contents_of(next, kept);
  step::Progress& going_on = contents.control.progress;
  going_on.nonfinite = place_among(kept, going_on.nonfinite);
  going_on.measured_nonfinite = place_among(kept, going_on.measured_nonfinite);
  const auto miscounted = std::ranges::find(kept, going_on.miscounted);
  going_on.miscounted =
      miscounted == kept.end() ? step::kNowhere : static_cast<std::uint64_t>(miscounted - kept.begin());
  const WorkPlan plan = plan_of(next, contents);
  TableMemory built(device, contents);
  backend->plan(plan);

  roster = std::move(next);
  table_memory = std::move(built);
  forget_parts();
}

void Optimizer::register_parameters(std::vector<Parameter> parameters) {
  impl_->enroll(std::move(parameters));
}

void Optimizer::remove_parameters(std::span<const std::string> names) { impl_->remove(names); }

}  // namespace onepass
