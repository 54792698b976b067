// optimizer_core.cpp - OptimizerCore's registration of parameters, and its step. The other functions of
// OptimizerCore are in footprint.cpp, optimizer_gradients.cpp, optimizer_schedule.cpp and state_dict.cpp.
#include "host/optimizer/optimizer_core.hpp"

#include <algorithm>
#include <string>
#include <utility>

#include "host/backend/plan.hpp"
#include "host/check/sentence.hpp"
#include "host/optimizer/gradient_settings.hpp"
#include "onepass/error.hpp"
#include "step/lookup.hpp"

namespace onepass {
namespace {

/// Chunks start at a multiple of this, where a block of 32 elements, a Philox draw and a vector of any width
/// also start.
constexpr std::int64_t kChunkMultiple = 64;

/// Returns Options::chunk_size, or `fallback` if it is 0. Throws InvalidArgument if it is no valid size.
std::int64_t checked_chunk_size(const Options& options, std::int64_t fallback) {
  if (options.chunk_size == 0) return fallback;
  if (options.chunk_size < 0 || options.chunk_size % kChunkMultiple != 0) {
    throw InvalidArgument("onepass: Options::chunk_size must be a positive multiple of " +
                          std::to_string(kChunkMultiple) + ", but is " + std::to_string(options.chunk_size));
  }
  return options.chunk_size;
}

/// Makes the backend of the request's device.
std::unique_ptr<Backend> make_backend(const BackendRequest& request) {
  return request.device.is_cuda() ? make_cuda_backend(request) : make_cpu_backend(request);
}

/// Returns `ema`. Throws InvalidArgument if a value is out of range.
const std::optional<EMA>& checked(const char* rule, const std::optional<EMA>& ema) {
  if (ema && !(ema->decay >= 0 && ema->decay <= 1)) {
    refuse(rule, "EMA.decay must lie in [0, 1], but is " + number(ema->decay));
  }
  if (ema && ema->dtype != DType::float32 && ema->dtype != DType::bfloat16) {
    refuse(rule, "EMA.dtype must be float32 or bfloat16, but is " + std::string(to_string(ema->dtype)));
  }
  return ema;
}

/// Returns the number that tells a tensor's random bits from another's: a hash of its name (FNV-1a), so that
/// neither the order of the tensors nor their packing matters.
std::uint32_t number_of(std::string_view name) {
  std::uint32_t hash = 0x811c9dc5u;
  for (const char letter : name) hash = (hash ^ static_cast<unsigned char>(letter)) * 0x01000193u;
  return hash;
}

/// Returns the first state that `wanted` has and `present` does not, in quotes; "" if there is no such state.
std::string missing_state(const VariantOps& present, const VariantOps& wanted) {
  const auto missing = std::ranges::find_if(wanted.states, [&](const char* name) {
    return std::ranges::find(present.states, std::string_view(name)) == present.states.end();
  });
  return missing == wanted.states.end() ? "" : quoted(*missing);
}

}  // namespace

unsigned check_rules(const RuleOps& ops, RuleBlob rules) {
  if (rules.count == 0) refuse(ops.name, "no rule was given");
  unsigned variant = 0;
  for (std::size_t group = 0; group < rules.count; ++group) {
    const std::byte* const rule = rules.bytes.data() + group * ops.rule_bytes;
    try {
      ops.check(rule);
    } catch (const InvalidArgument& error) {
      if (rules.count == 1) throw;
      throw InvalidArgument(std::string(error.what()) + " (group " + std::to_string(group) + ")");
    }
    variant |= ops.variant(rule);
  }
  return variant;
}

std::vector<step::Penalty> penalties_of(const RuleOps& ops, std::span<const std::byte> rules) {
  std::vector<step::Penalty> penalties;
  for (std::size_t at = 0; at < rules.size(); at += ops.rule_bytes) {
    penalties.push_back(ops.penalty(rules.data() + at));
  }
  return penalties;
}

void Roster::append(std::vector<Parameter> added, const Enrolled& enrolled) {
  for (std::size_t i = 0; i < added.size(); ++i) {
    index_by_name.emplace(added[i].name, parameters.size());
    formats.push_back(enrolled.formats[i]);
    streams.push_back(enrolled.streams.streams[i]);
    if (!enrolled.gradient_sums.streams.empty()) {
      gradient_sums.push_back(enrolled.gradient_sums.streams[i][0]);
    }
    parameters.push_back(std::move(added[i]));
  }
}

std::vector<std::int64_t> Roster::numels() const {
  std::vector<std::int64_t> numels;
  for (const Parameter& parameter : parameters) numels.push_back(parameter.value.numel);
  return numels;
}

OptimizerCore::Impl::Impl(const RuleOps& rule_ops, RuleBlob rule_blob, std::vector<Parameter> added,
                          const Options& options)
    : ops(rule_ops),
      rules(rule_blob.bytes.begin(), rule_blob.bytes.end()),
      settings(checked_settings(ops.name, handling, Device::cpu())),
      storage(options.storage),
      ema(checked(ops.name, options.ema)),
      accumulates(options.accumulates_gradients),
      schedules(rule_blob.count),
      schedule_memory(rule_blob.count),
      group_count(rule_blob.count),
      variant(check_rules(ops, rule_blob)),
      device(device_of(context(), added)),
      backend(make_backend({ops, variant, device, options})),
      chunk_size(checked_chunk_size(options, backend->default_chunk_size())) {
  settings.store = {.seed = options.seed,
                    .ema_decay = ema ? ema->decay : 0.0,
                    .warms_up_ema = ema && ema->warmup ? 1u : 0u,
                    .rounds_stochastically = storage.rounding == Rounding::stochastic ? 1u : 0u};
  enroll(std::move(added));
}

OptimizerCore::Impl::~Impl() { backend->wait(); }

step::TensorEntry OptimizerCore::Impl::entry_of(const Roster& next, std::size_t index) const {
  const Parameter& parameter = next.parameters[index];
  step::TensorEntry entry{};
  entry.param = parameter.value.data;
  const std::vector<StreamSpec> specs = streams_of(next.formats[index], variant_ops().states, ema);
  for (std::size_t s = 0; s < specs.size(); ++s) {
    void*& to = specs[s].role == StreamRole::state       ? entry.states[s]
                : specs[s].role == StreamRole::remainder ? entry.remainder
                                                         : entry.ema;
    to = next.streams[index][s];
  }
  if (ema) entry.ema_type = ema->dtype;
  entry.copy = parameter.copy.data;
  entry.copy_type = parameter.copy.dtype;
  entry.numel = parameter.value.numel;
  entry.first = parameter.first;
  entry.number = number_of(parameter.name);
  entry.group = static_cast<std::uint32_t>(parameter.group);
  entry.param_type = parameter.value.dtype;
  entry.incoming_type = parameter.grad.dtype;
  entry.grad_type = accumulates ? DType::float32 : parameter.grad.dtype;
  entry.format = next.formats[index];
  return entry;
}

TableContents OptimizerCore::Impl::contents_of(const Roster& next) const {
  TableContents contents;
  contents.control = fresh_control(settings);
  if (!roster.parameters.empty()) {
    contents.control.progress = progress({});
    contents.steps = table_memory.read_counts(table_memory.view().steps, {});
    contents.accumulated = table_memory.read_counts(table_memory.view().accumulated, {});
  }
  contents.steps.resize(next.parameters.size(), 0);
  contents.accumulated.resize(next.parameters.size(), 0);
  for (std::size_t i = 0; i < next.parameters.size(); ++i) {
    contents.tensors.push_back(entry_of(next, i));
    (accumulates ? contents.incoming : contents.grads).push_back(next.parameters[i].grad.data);
  }
  if (accumulates) contents.grads = next.gradient_sums;
  contents.chunks = make_chunks(next.numels(), chunk_size);
  contents.pieces = make_chunks(next.numels(), step::kReduceChunk);
  contents.chunk_size = chunk_size;
  contents.rules = rules;
  contents.penalties = penalties_of(ops, rules);
  for (const ScheduleMemory& memory : schedule_memory) contents.schedules.push_back(memory.view);
  contents.coefficient_bytes = ops.coefficient_bytes;
  return contents;
}

Enrolled OptimizerCore::Impl::allocate(std::span<const Parameter> added) const {
  Enrolled enrolled;
  std::vector<std::vector<StreamSpec>> specs, sums;
  for (const Parameter& parameter : added) {
    enrolled.formats.push_back(format_of(ops.name, parameter, storage));
    specs.push_back(streams_of(enrolled.formats.back(), variant_ops().states, ema));
    sums.push_back({{"gradient_sum", StreamRole::state, DType::float32, false}});
  }
  enrolled.streams = StateMemory::allocate(device, added, specs);
  if (accumulates) enrolled.gradient_sums = StateMemory::allocate(device, added, sums);
  for (std::size_t i = 0; i < added.size(); ++i) {
    for (std::size_t s = 0; s < specs[i].size(); ++s) {
      const bool is_master = format_name(enrolled.formats[i]).master == Master::float32;
      if (specs[i][s].role == StreamRole::ema || (specs[i][s].role == StreamRole::remainder && is_master)) {
        start_at(added[i].value,
                 {enrolled.streams.streams[i][s], specs[i][s].dtype, added[i].value.numel, device});
      }
    }
  }
  return enrolled;
}

void OptimizerCore::Impl::enroll(std::vector<Parameter> added) {
  check_parameters(context(), added, device);
  check_storage(ops.name, storage, roster.parameters, added);
  backend->wait();
  Enrolled enrolled = allocate(added);
  Roster next = roster;
  next.append(std::move(added), enrolled);

  TableContents contents = contents_of(next);
  WorkPlan plan;
  plan.runs = sort_by_format(contents.chunks, next.formats);
  plan.chunks = element_offsets(contents.chunks, next.numels(), chunk_size);
  plan.pieces = element_offsets(contents.pieces, next.numels(), step::kReduceChunk);
  plan.has_followers = std::ranges::any_of(contents.tensors, &step::TensorEntry::has_followers);
  plan.bytes = 0.0;
  for (const StreamBytes& stream : memory_of(next)) plan.bytes += stream.bytes;
  TableMemory built(device, contents);
  state_memory.push_back(std::move(enrolled.streams));
  state_memory.push_back(std::move(enrolled.gradient_sums));
  backend->plan(plan);

  roster = std::move(next);
  table_memory = std::move(built);
}

OptimizerCore::OptimizerCore(const RuleOps& ops, RuleBlob rules, std::vector<Parameter> parameters,
                             const Options& options)
    : impl_(std::make_unique<Impl>(ops, rules, std::move(parameters), options)) {}
OptimizerCore::~OptimizerCore() = default;
OptimizerCore::OptimizerCore(OptimizerCore&&) noexcept = default;
OptimizerCore& OptimizerCore::operator=(OptimizerCore&&) noexcept = default;

void OptimizerCore::step(Stream stream) {
  const step::Settings& settings = impl_->settings;
  impl_->backend->step(impl_->table_memory.view(),
                       settings.measures_gradients != 0 ? std::optional(settings.norm) : std::nullopt,
                       stream);
}

void OptimizerCore::zero_grad(Stream stream) {
  impl_->backend->zero_grad(impl_->table_memory.view(), stream);
}

void OptimizerCore::write_rules(RuleBlob rules, Stream stream) {
  const unsigned wanted = check_rules(impl_->ops, rules);
  if ((wanted & ~impl_->variant) != 0) {
    refuse(impl_->ops.name,
           "the new hyperparameters need the state " +
               missing_state(impl_->variant_ops(), impl_->ops.variants[wanted | impl_->variant]) +
               ", which this optimizer was made without");
  }
  const step::Table& table = impl_->table_memory.view();
  const std::vector<step::Penalty> penalties = penalties_of(impl_->ops, rules.bytes);
  impl_->backend->write(const_cast<void*>(table.rules), rules.bytes, stream);
  impl_->backend->write(const_cast<step::Penalty*>(table.penalties), std::as_bytes(std::span(penalties)),
                        stream);
  impl_->rules.assign(rules.bytes.begin(), rules.bytes.end());
}

void OptimizerCore::set_gradients(std::span<const Tensor> gradients, Stream stream) {
  check_gradients(impl_->context(), gradients, impl_->device);
  std::vector<Parameter>& parameters = impl_->roster.parameters;
  std::size_t first = parameters.size();
  std::size_t last = 0;
  std::vector<void*> pointers(parameters.size());
  for (std::size_t i = 0; i < parameters.size(); ++i) {
    pointers[i] = gradients[i].data;
    if (pointers[i] == parameters[i].grad.data) continue;
    first = std::min(first, i);
    last = i + 1;
  }
  if (first < last) {
    void* const* const entries = step::callers_gradients(impl_->table_memory.view());
    impl_->backend->write(const_cast<void**>(entries) + first,
                          std::as_bytes(std::span(pointers).subspan(first, last - first)), stream);
  }
  for (std::size_t i = 0; i < parameters.size(); ++i) {
    const DType before = parameters[i].grad.dtype;
    parameters[i].grad = gradients[i];
    if (gradients[i].dtype != before) impl_->patch_entry(i, stream);
  }
}

void OptimizerCore::Impl::patch_entry(std::size_t parameter, Stream stream) {
  auto* const entries = const_cast<step::TensorEntry*>(table_memory.view().tensors);
  patch(entries + parameter, entry_of(roster, parameter), stream);
}

void OptimizerCore::add_parameters(std::vector<Parameter> parameters) {
  impl_->enroll(std::move(parameters));
}

void OptimizerCore::check_group(std::size_t group) const {
  if (group < impl_->group_count) return;
  refuse(impl_->ops.name,
         "there is no group " + std::to_string(group) + ", but only " + std::to_string(impl_->group_count));
}

Device OptimizerCore::device() const { return impl_->device; }

std::size_t OptimizerCore::parameter_count() const { return impl_->roster.parameters.size(); }

std::span<const char* const> OptimizerCore::state_names() const { return impl_->variant_ops().states; }

}  // namespace onepass
