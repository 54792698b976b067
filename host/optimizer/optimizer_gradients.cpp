// optimizer_gradients.cpp - the functions of Optimizer for gradients: handling, accumulation, norm,
// penalty, loss scale and the check for non-finite gradients.
#include <cmath>
#include <cstdint>
#include <span>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "host/check/check_tensor.hpp"
#include "host/check/sentence.hpp"
#include "host/cpu/threads/float_environment.hpp"
#include "host/optimizer/gradient_settings.hpp"
#include "host/optimizer/optimizer.hpp"
#include "onepass/error.hpp"
#include "onepass/shared_loss_scaler.hpp"
#include "step/shard_measure.hpp"

namespace onepass {
namespace {

/// The loss scale that a handling begins with, and whether a loss scaler changes it.
std::pair<double, bool> first_scale(const GradientHandling& handling) {
  if (handling.loss_scaler) return {handling.loss_scaler->init_scale, true};
  return {handling.loss_scale, false};
}

}  // namespace

void Optimizer::set_gradient_handling(const GradientHandling& handling, Stream stream) {
  step::Settings settings = checked_settings(handling, impl_->device);
  if (handling.zero_grad) check_gradients_apart(impl_->context());
  settings.store = impl_->settings.store;
  const GradientHandling before = std::exchange(impl_->handling, handling);
  impl_->settings = settings;
  step::Control& control = impl_->control();
  impl_->patch(&control.settings, settings, stream);
  const auto [scale, dynamic] = first_scale(handling);
  if (first_scale(before) == std::pair(scale, dynamic)) return;
  impl_->patch(&control.progress.loss_scale, {0, static_cast<float>(scale), 0}, stream);
}

const GradientHandling& Optimizer::gradient_handling() const { return impl_->handling; }

namespace {

void require_accumulation(const Optimizer::Impl& core, const std::string& function) {
  if (!core.accumulates) refuse(function + "() needs Options::accumulates_gradients");
  core.require_no_round(function.c_str());
}

}  // namespace

void Optimizer::accumulate(const MicroBatch& micro_batch, Stream stream) {
  require_accumulation(*impl_, "accumulate");
  const step::MicroBatch batch = checked_micro_batch(micro_batch, impl_->device);
  impl_->backend->accumulate(impl_->table_memory.view(), batch, stream);
}

void Optimizer::drop_accumulated(Stream stream) {
  require_accumulation(*impl_, "drop_accumulated");
  const step::Table& table = impl_->table_memory.view();
  const std::vector<std::int64_t> none(static_cast<std::size_t>(table.tensor_count), 0);
  impl_->backend->write(table.accumulated, std::as_bytes(std::span(none)), stream);
  impl_->patch(&table.control->progress.micro_batches, std::int64_t{0}, stream);
  impl_->patch(&table.control->progress.accumulated_weight, 0.0, stream);
}

std::int64_t Optimizer::dropped_micro_batches(Stream stream) const { return impl_->progress(stream).dropped; }

namespace {

/// The shape of the numbers that measure() writes.
step::ShardMeasure measure_shape(const Optimizer::Impl& core) {
  const step::Settings& settings = core.settings;
  const bool by_group = settings.clips_by_group != 0, by_parameter = settings.clips_by_parameter != 0;
  const std::size_t records = by_group       ? core.groups.count()
                              : by_parameter ? core.roster.parameters.size() + 1
                                             : 1;
  return {.words = nullptr,
          .records = static_cast<std::int64_t>(records),
          .apart = settings.norm == step::Measure::largest ? 1 : step::kSumWords,
          .of_tensors = by_parameter ? 1 : 0};
}

/// Throws InvalidArgument unless steps measure gradients, and `measure` can hold what they measure.
step::ShardMeasure checked_measure(const Optimizer::Impl& core, const char* function, const Tensor& measure) {
  core.require_no_round(function);
  if (core.settings.measures_gradients == 0) {
    refuse(std::string(function) +
           "() needs clip_norm, a loss scaler, NonFinite::skip or NonFinite::error; without them steps do "
           "not measure the gradients");
  }
  step::ShardMeasure checked = measure_shape(core);
  checked.words = core.checked_words("the measure given to " + std::string(function) + "()", measure,
                                     checked.records * checked.apart, "measure_numel()");
  return checked;
}

}  // namespace

std::int64_t* Optimizer::Impl::checked_words(const std::string& what, const Tensor& given, std::int64_t numel,
                                             const char* why) const {
  if (given.numel != numel) {
    refuse(what + " has " + elements(given.numel) + ", but must have " + std::to_string(numel) + " (" + why +
           ")");
  }
  if (given.device != device) {
    refuse(what + " is on " + to_string(given.device) + ", but the optimizer is on " + to_string(device));
  }
  check_tensor({"Optimizer", what.c_str()}, given, DType::int64);
  return static_cast<std::int64_t*>(given.data);
}

std::int64_t Optimizer::measure_numel() const {
  const step::ShardMeasure shape = measure_shape(*impl_);
  return shape.records * shape.apart;
}

void Optimizer::measure(const Tensor& into, Stream stream) {
  const step::ShardMeasure checked = checked_measure(*impl_, "measure", into);
  impl_->backend->measure(impl_->table_memory.view(), impl_->settings.norm, checked, stream);
}

void Optimizer::step_measured(const Tensor& measure, Stream stream) {
  const step::ShardMeasure checked = checked_measure(*impl_, "step_measured", measure);
  impl_->restore(stream);
  impl_->backend->take_measure(impl_->table_memory.view(), checked, stream);
  impl_->backend->step(impl_->table_memory.view(), std::nullopt, stream);
}

std::int64_t Optimizer::sums_numel() const {
  return impl_->table_memory.view().sum_count * step::kTensorWords;
}

std::int64_t* Optimizer::Impl::checked_sums(const char* function, const Tensor& sums) const {
  if (!groups.takes_sums()) refuse(std::string(function) + "() needs a rule that takes sums over tensors");
  return checked_words("the sums given to " + std::string(function) + "()", sums,
                       table_memory.view().sum_count * step::kTensorWords, "sums_numel()");
}

void Optimizer::Impl::begin_step(const Tensor& into, std::optional<step::Measure> norm, Stream stream) {
  std::int64_t* const words = checked_sums("begin_step", into);
  restore(stream);
  backend->begin_step(table_memory.view(), norm, words, stream);
  begun = true;
}

void Optimizer::begin_step(const Tensor& into, Stream stream) {
  impl_->require_no_round("begin_step");
  impl_->begin_step(into, impl_->measured(), stream);
}

void Optimizer::begin_step(const Tensor& measure, const Tensor& into, Stream stream) {
  const step::ShardMeasure checked = checked_measure(*impl_, "begin_step", measure);
  static_cast<void>(impl_->checked_sums("begin_step", into));
  impl_->backend->take_measure(impl_->table_memory.view(), checked, stream);
  impl_->begin_step(into, std::nullopt, stream);
}

void Optimizer::finish_step(const Tensor& sums, Stream stream) {
  if (!impl_->begun) refuse("finish_step() was called without begin_step()");
  const std::int64_t* const words = impl_->checked_sums("finish_step", sums);
  impl_->backend->finish_step(impl_->table_memory.view(), words, stream);
  impl_->begun = false;
}

void Optimizer::fetch_grad_norm(Stream stream) {
  impl_->backend->fetch(&impl_->control().progress.grad_norm, stream);
}

double Optimizer::fetched_grad_norm() const { return impl_->backend->fetched(); }

double Optimizer::grad_norm(Stream stream) const { return impl_->progress(stream).grad_norm; }

double Optimizer::grad_norm(std::size_t group, Stream stream) const {
  static_cast<void>(impl_->groups.at(group));
  return impl_->table_memory.read(impl_->table_memory.view().group_norms + group, stream);
}

double Optimizer::grad_norm(std::string_view parameter, Stream stream) const {
  const std::size_t number = impl_->find_parameter(parameter);
  return impl_->table_memory.read(impl_->table_memory.view().tensor_norms + number, stream);
}

double Optimizer::penalty(Stream stream) const {
  step::Reduction* const result = &impl_->control().penalty;
  impl_->patch(result, step::Reduction::none(), stream);
  impl_->backend->penalty(impl_->table_memory.view(), stream);
  const step::Reduction sum = impl_->table_memory.read(result, stream);
  const cpu::DefaultFloatEnvironment environment;
  const int exponent = ScaledPenalties::of(impl_->groups.rules()).exponent;
  return std::ldexp(step::value_of(sum, step::Measure::penalty), exponent);
}

float Optimizer::loss_scale(Stream stream) const {
  const SharedLossScaler* const shared = impl_->handling.shared_scaler;
  return shared != nullptr ? shared->scale(stream) : impl_->progress(stream).loss_scale.value;
}

const float* Optimizer::loss_scale_pointer() const {
  const SharedLossScaler* const shared = impl_->handling.shared_scaler;
  return shared != nullptr ? shared->scale_pointer() : &impl_->control().progress.loss_scale.value;
}

namespace {

constexpr auto kPiece = static_cast<std::uint64_t>(step::kReduceChunk);

/// Number of the pieces that a reduction cuts a parameter into.
std::uint64_t pieces_of(const Parameter& parameter) {
  return (static_cast<std::uint64_t>(parameter.value.numel) + kPiece - 1) / kPiece;
}

/// The place of an element, counted from the first one of its parameter.
struct PlaceInParameter {
  std::size_t parameter;
  std::uint64_t place;
};

/// Finds the parameter in which a place of Reduction::first_nonfinite lies.
PlaceInParameter find_place(std::span<const Parameter> parameters, std::uint64_t place) {
  std::size_t i = 0;
  for (; i < parameters.size() && place / kPiece >= pieces_of(parameters[i]); ++i) {
    place -= pieces_of(parameters[i]) * kPiece;
  }
  return {i, place};
}

}  // namespace

std::string Optimizer::Impl::place_of(std::uint64_t place) const {
  const PlaceInParameter at = find_place(roster.parameters, place);
  return "element " + std::to_string(at.place) + " of " + quoted(roster.parameters[at.parameter].name);
}

std::uint64_t Optimizer::Impl::place_among(std::span<const std::size_t> kept, std::uint64_t place) const {
  if (place >= step::kElsewhere) return place;
  const PlaceInParameter at = find_place(roster.parameters, place);
  std::uint64_t before = 0;
  for (const std::size_t i : kept) {
    if (i == at.parameter) return before * kPiece + at.place;
    before += pieces_of(roster.parameters[i]);
  }
  return step::kRemoved;
}

void Optimizer::check(Stream stream) {
  const step::Progress progress = impl_->progress(stream);
  impl_->report_miscounted(progress.miscounted, stream);
  const std::uint64_t place = progress.nonfinite;
  if (place == step::kNowhere) return;
  impl_->patch(&impl_->control().progress.nonfinite, step::kNowhere, stream);
  if (place == step::kLossScale) {
    throw NonFiniteGradient(
        "onepass: Optimizer: the loss scale or its inverse was not finite in float32, and the step was "
        "skipped");
  }
  if (place == step::kRemoved) {
    throw NonFiniteGradient(
        "onepass: Optimizer: the gradient of a parameter that was removed since then was not finite, and the "
        "step was skipped");
  }
  if (place == step::kElsewhere) {
    throw NonFiniteGradient(
        "onepass: Optimizer: a gradient of another shard was not finite, and the step was skipped");
  }
  throw NonFiniteGradient("onepass: Optimizer: the gradient's " + impl_->place_of(place) +
                          " was not finite, and the step was skipped");
}

}  // namespace onepass
