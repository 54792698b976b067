// optimizer.cpp - Optimizer's registration of parameters, and its step. Its other functions are in
// groups.cpp, optimizer_gradients.cpp, state_dict.cpp and footprint.cpp.
#include "host/optimizer/optimizer.hpp"

#include <algorithm>
#include <string>
#include <utility>

#include "host/backend/plan.hpp"
#include "host/check/sentence.hpp"
#include "host/optimizer/gradient_settings.hpp"
#include "onepass/error.hpp"
#include "step/lookup.hpp"
#include "step/start.hpp"

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
const std::optional<EMA>& checked(const std::optional<EMA>& ema) {
  if (ema && !(ema->decay >= 0 && ema->decay <= 1)) {
    refuse("EMA.decay must lie in [0, 1], but is " + number(ema->decay));
  }
  if (ema && ema->warmup && ema->bias_correction) {
    refuse("EMA.warmup and EMA.bias_correction both change the weights of the first steps; set one of them");
  }
  if (ema && ema->dtype != DType::float32 && ema->dtype != DType::bfloat16) {
    refuse("EMA.dtype must be float32 or bfloat16, but is " + std::string(to_string(ema->dtype)));
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

}  // namespace

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

Optimizer::Impl::Impl(const std::vector<Rule>& rules, std::vector<Parameter> added, const Options& options)
    : groups(rules),
      settings(checked_settings(handling, Device::cpu())),
      storage({options.storage, options.float32_storage}),
      ema(checked(options.ema)),
      accumulates(options.accumulates_gradients),
      device(device_of(context(), added)),
      backend(make_backend({groups.rule_types, device, options})),
      chunk_size(checked_chunk_size(options, backend->default_chunk_size())) {
  settings.store = {.seed = options.seed,
                    .ema_decay = ema ? ema->decay : 0.0,
                    .warms_up_ema = ema && ema->warmup ? 1u : 0u,
                    .corrects_ema_bias = ema && ema->bias_correction ? 1u : 0u};
  enroll(std::move(added));
}

Optimizer::Impl::~Impl() { backend->wait(); }

step::TensorEntry Optimizer::Impl::entry_of(const Roster& next, std::size_t index) const {
  const Parameter& parameter = next.parameters[index];
  step::TensorEntry entry{};
  entry.param = parameter.value.data;
  const std::vector<StreamSpec> specs = specs_of(parameter, next.formats[index]);
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
  entry.rule = groups.all[parameter.group].rule_type;
  const Storage& stored = storage.of(parameter);
  entry.master = stored.master;
  entry.state_storage = stored.states;
  entry.rounds_stochastically = stored.rounding == Rounding::stochastic;
  return entry;
}

TableContents Optimizer::Impl::contents_of(const Roster& next) const {
  TableContents contents;
  contents.control = fresh_control(settings);
  if (!roster.parameters.empty()) {
    contents.control.progress = progress({});
    contents.steps = table_memory.read_counts(table_memory.view().steps, {});
    contents.accumulated = table_memory.read_counts(table_memory.view().accumulated, {});
    contents.group_norms = table_memory.read_norms();
  }
  contents.steps.resize(next.parameters.size(), 0);
  contents.accumulated.resize(next.parameters.size(), 0);
  contents.group_norms.resize(groups.count(), 0.0);
  for (std::size_t i = 0; i < next.parameters.size(); ++i) {
    contents.tensors.push_back(entry_of(next, i));
    (accumulates ? contents.incoming : contents.grads).push_back(next.parameters[i].grad.data);
  }
  if (accumulates) contents.grads = next.gradient_sums;
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
    if (std::ranges::any_of(contents.tensors, has_type))
      plan.rules.push_back({groups.rule_types[type], type});
  }
  if (plan.rules.size() == 1) plan.rules[0].number = step::kEveryRule;
  plan.runs = sort_by_program(contents.chunks, program_of_tensor);
  plan.chunks = element_offsets(contents.chunks, next.numels(), chunk_size);
  plan.pieces = element_offsets(contents.pieces, next.numels(), step::kReduceChunk);
  plan.groups = groups.count();
  plan.has_followers = std::ranges::any_of(contents.tensors, &step::TensorEntry::has_followers);
  plan.bytes = 0.0;
  for (const StreamBytes& stream : memory_of(next)) plan.bytes += stream.bytes;
  return plan;
}

void Optimizer::Impl::enroll(std::vector<Parameter> added) {
  check_parameters(context(), added, device);
  check_storage(storage, roster.parameters, added);
  backend->wait();
  Enrolled enrolled = allocate(added);
  Roster next = roster;
  next.append(std::move(added), enrolled);

  TableContents contents = contents_of(next);
  const WorkPlan plan = plan_of(next, contents);
  TableMemory built(device, contents);
  const auto first = static_cast<std::uint32_t>(roster.parameters.size());
  const bool copies = std::any_of(contents.tensors.begin() + first, contents.tensors.end(),
                                  [](const step::TensorEntry& tensor) { return step::has_copies(tensor); });
  backend->start(built.view(), plan,
                 {first, {enrolled.streams.bytes(), enrolled.gradient_sums.bytes()}, copies});
  state_memory.push_back(std::move(enrolled.streams));
  state_memory.push_back(std::move(enrolled.gradient_sums));
  backend->plan(plan);

  roster = std::move(next);
  table_memory = std::move(built);
}

Optimizer::Optimizer(const std::vector<Rule>& rules, std::vector<Parameter> parameters,
                     const Options& options, Collected /*tag*/)
    : impl_(std::make_unique<Impl>(rules, std::move(parameters), options)) {}
Optimizer::~Optimizer() = default;
Optimizer::Optimizer(Optimizer&&) noexcept = default;
Optimizer& Optimizer::operator=(Optimizer&&) noexcept = default;

void Optimizer::step(Stream stream) {
  const step::Settings& settings = impl_->settings;
  impl_->backend->step(impl_->table_memory.view(),
                       settings.measures_gradients != 0 ? std::optional(settings.norm) : std::nullopt,
                       stream);
}

void Optimizer::zero_grad(Stream stream) { impl_->backend->zero_grad(impl_->table_memory.view(), stream); }

void Optimizer::set_gradients(std::span<const Tensor> gradients, Stream stream) {
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

void Optimizer::Impl::patch_entry(std::size_t parameter, Stream stream) {
  auto* const entries = const_cast<step::TensorEntry*>(table_memory.view().tensors);
  patch(entries + parameter, entry_of(roster, parameter), stream);
}

void Optimizer::register_parameters(std::vector<Parameter> parameters) {
  impl_->enroll(std::move(parameters));
}

Device Optimizer::device() const { return impl_->device; }

std::size_t Optimizer::parameter_count() const { return impl_->roster.parameters.size(); }

std::span<const char* const> Optimizer::state_names() const { return impl_->groups.state_names; }

std::span<const char* const> Optimizer::state_names(std::string_view parameter) const {
  return impl_->variant_of(impl_->roster.parameters[impl_->find_parameter(parameter)]).states;
}

}  // namespace onepass
