// gradients.cpp - gradient handling, micro-batches, norms, loss scales, and SAM.
#include <algorithm>
#include <cstddef>

#include "c/source/convert.hpp"

namespace onepass::c {

template <>
inline constexpr std::size_t kFirstSize<onepass_clip_grad_norm> = offsetof(onepass_clip_grad_norm, exact);

namespace {

ClipGradNorm clip_of(const onepass_clip_grad_norm* given) {
  const auto c = struct_of(given, "onepass_clip_grad_norm");
  return {
      .max_norm = c.max_norm,
      .norm_type = enumerator("norm_type", c.norm_type, NormType::infinity, "0 (l1), 1 (l2) or 2 (infinity)"),
      .formula = enumerator("formula", c.formula, ClipFormula::exact, "0 (pytorch) or 1 (exact)"),
      .per_group = flag("per_group", c.per_group),
      .per_parameter = flag("per_parameter", c.per_parameter),
      .exact = flag("exact", c.exact)};
}

onepass_clip_grad_norm clip_of(const ClipGradNorm& own) {
  return {.size = sizeof(onepass_clip_grad_norm),
          .norm_type = static_cast<std::int32_t>(own.norm_type),
          .max_norm = own.max_norm,
          .formula = static_cast<std::int32_t>(own.formula),
          .per_group = own.per_group ? 1 : 0,
          .exact = own.exact ? 1 : 0,
          .per_parameter = own.per_parameter ? 1 : 0};
}

/// A measure, or sums, on the optimizer's device. The library does not write to what it only reads.
Tensor measure_of(const Optimizer& optimizer, const std::int64_t* words, std::int64_t numel) {
  return {const_cast<std::int64_t*>(words), DType::int64, numel, optimizer.device()};
}

LossScaler scaler_of(const onepass_loss_scaler* given) {
  const auto c = struct_or_zero(given, "onepass_loss_scaler");
  LossScaler own;
  if (c.init_scale != 0.0) own.init_scale = c.init_scale;
  if (c.growth_factor != 0.0) own.growth_factor = c.growth_factor;
  if (c.backoff_factor != 0.0) own.backoff_factor = c.backoff_factor;
  if (c.growth_interval != 0) own.growth_interval = c.growth_interval;
  if (c.min_scale != 0.0) own.min_scale = c.min_scale;
  if (c.max_scale != 0.0) own.max_scale = c.max_scale;
  return own;
}

onepass_loss_scaler scaler_of(const LossScaler& own) {
  return {.size = sizeof(onepass_loss_scaler),
          .reserved = 0,
          .init_scale = own.init_scale,
          .growth_factor = own.growth_factor,
          .backoff_factor = own.backoff_factor,
          .growth_interval = own.growth_interval,
          .min_scale = own.min_scale,
          .max_scale = own.max_scale};
}

GradientHandling handling_of(const onepass_gradient_handling& c) {
  GradientHandling own{.nonfinite = enumerator("nonfinite", c.nonfinite, NonFinite::error,
                                               "0 (propagate), 1 (skip) or 2 (error)"),
                       .shared_scaler = c.shared_scaler == nullptr ? nullptr : &c.shared_scaler->scaler,
                       .zero_grad = flag("zero_grad", c.zero_grad),
                       .found_inf = c.found_inf,
                       .grad_scale = c.grad_scale};
  if (c.clip_norm != nullptr) own.clip_norm = clip_of(c.clip_norm);
  if (flag("clips_value", c.clips_value)) own.clip_value = c.clip_value;
  if (c.loss_scale != 0.0) own.loss_scale = c.loss_scale;
  if (c.loss_scaler != nullptr) own.loss_scaler = scaler_of(c.loss_scaler);
  return own;
}

MicroBatch micro_batch_of(const onepass_micro_batch* given) {
  if (given == nullptr) return {};
  const auto c = struct_of(given, "onepass_micro_batch");
  return {.weight = c.weight,
          .weight_pointer = c.weight_pointer,
          .drop_nonfinite = flag("drop_nonfinite", c.drop_nonfinite)};
}

Sam sam_of(const onepass_sam* given) {
  const auto c = struct_of(given, "onepass_sam");
  return {.rho = c.rho, .adaptive = flag("adaptive", c.adaptive), .eta = c.eta};
}

/// Throws unless the caller has given memory for every stream of every parameter.
void require_given(const std::vector<Parameter>& parameters, const std::vector<RequiredMemory>& required) {
  for (std::size_t i = 0; i < parameters.size(); ++i) {
    for (const RequiredStream& stream : required[i].streams) {
      const auto is_it = [&](const GivenStream& given) { return given.name == stream.name; };
      if (std::ranges::any_of(parameters[i].streams, is_it)) continue;
      refuse("onepass_apply keeps nothing, so every stream must be given, but \"" + parameters[i].name +
             "\" has no memory for \"" + stream.name + '"');
    }
  }
}

}  // namespace
}  // namespace onepass::c

using namespace onepass::c;  // NOLINT: every function below is one of the interface

extern "C" {

int onepass_shared_loss_scaler_create(int32_t device, const onepass_loss_scaler* settings,
                                      onepass_shared_loss_scaler** scaler) {
  return guarded([&] {
    write_handle(scaler, "scaler", [&] {
      return new onepass_shared_loss_scaler{
          onepass::SharedLossScaler(device_of(device), scaler_of(settings))};
    });
  });
}

void onepass_shared_loss_scaler_destroy(onepass_shared_loss_scaler* scaler) { delete scaler; }

int onepass_shared_loss_scaler_update(onepass_shared_loss_scaler* scaler, void* stream) {
  return guarded([&] {
    require(scaler, "scaler");
    scaler->scaler.update(stream_of(stream));
  });
}

const float* onepass_shared_loss_scaler_pointer(const onepass_shared_loss_scaler* scaler) {
  return scaler == nullptr ? nullptr : scaler->scaler.scale_pointer();
}

int onepass_shared_loss_scaler_state(const onepass_shared_loss_scaler* scaler, void* stream, float* scale,
                                     int64_t* growth_tracker) {
  return guarded([&] {
    require(scaler, "scaler");
    require(scale, "scale");
    require(growth_tracker, "growth_tracker");
    const auto state = scaler->scaler.state(stream_of(stream));
    *scale = state.scale;
    *growth_tracker = state.growth_tracker;
  });
}

int onepass_shared_loss_scaler_load(onepass_shared_loss_scaler* scaler, float scale, int64_t growth_tracker,
                                    void* stream) {
  return guarded([&] {
    require(scaler, "scaler");
    scaler->scaler.load_state({scale, growth_tracker}, stream_of(stream));
  });
}

int onepass_set_gradient_handling(onepass_optimizer* optimizer, const onepass_gradient_handling* handling,
                                  void* stream) {
  return guarded([&] {
    onepass::Optimizer& one = optimizer_of(optimizer);
    const auto c = struct_of(handling, "onepass_gradient_handling");
    one.set_gradient_handling(handling_of(c), stream_of(stream));
    optimizer->shared_scaler = c.shared_scaler;
  });
}

int onepass_apply(const onepass_group* groups, int64_t group_count, const onepass_parameter* parameters,
                  int64_t parameter_count, int32_t device, const onepass_options* options,
                  const onepass_gradient_handling* handling, void* stream) {
  onepass_optimizer* one = nullptr;
  int status = guarded([&] {
    const auto own = parameters_of(parameters, parameter_count, device_of(device), 0);
    require_given(
        own, onepass::Optimizer::required_memory(rules_of(groups, group_count), own, options_of(options)));
  });
  if (status == ONEPASS_OK) {
    status = onepass_create(groups, group_count, parameters, parameter_count, device, options, &one);
  }
  if (status == ONEPASS_OK && handling != nullptr) {
    status = onepass_set_gradient_handling(one, handling, stream);
  }
  if (status == ONEPASS_OK) status = onepass_step(one, stream);
  onepass_destroy(one);
  return status;
}

int onepass_get_gradient_handling(onepass_optimizer* optimizer, onepass_gradient_handling* handling) {
  return guarded([&] {
    const onepass::GradientHandling& own = optimizer_of(optimizer).gradient_handling();
    if (own.clip_norm.has_value()) optimizer->clip_norm = clip_of(*own.clip_norm);
    if (own.loss_scaler.has_value()) optimizer->loss_scaler = scaler_of(*own.loss_scaler);
    const bool clips_value = own.clip_value <= std::numeric_limits<double>::max();
    write_struct({.size = sizeof(onepass_gradient_handling),
                  .nonfinite = static_cast<std::int32_t>(own.nonfinite),
                  .clip_norm = own.clip_norm.has_value() ? &optimizer->clip_norm : nullptr,
                  .loss_scaler = own.loss_scaler.has_value() ? &optimizer->loss_scaler : nullptr,
                  .shared_scaler = optimizer->shared_scaler,
                  .clips_value = clips_value ? 1 : 0,
                  .zero_grad = own.zero_grad ? 1 : 0,
                  .clip_value = clips_value ? own.clip_value : 0.0,
                  .loss_scale = own.loss_scale,
                  .found_inf = own.found_inf,
                  .grad_scale = own.grad_scale},
                 handling, "onepass_gradient_handling");
  });
}

int onepass_accumulate(onepass_optimizer* optimizer, const onepass_micro_batch* micro_batch, void* stream) {
  return guarded([&] { optimizer_of(optimizer).accumulate(micro_batch_of(micro_batch), stream_of(stream)); });
}

int onepass_drop_accumulated(onepass_optimizer* optimizer, void* stream) {
  return guarded([&] { optimizer_of(optimizer).drop_accumulated(stream_of(stream)); });
}

int onepass_dropped_micro_batches(const onepass_optimizer* optimizer, void* stream, int64_t* count) {
  return guarded(
      [&] { write(count, "count", optimizer_of(optimizer).dropped_micro_batches(stream_of(stream))); });
}

int onepass_grad_norm(const onepass_optimizer* optimizer, int32_t group, void* stream, double* norm) {
  return guarded([&] {
    const onepass::Optimizer& one = optimizer_of(optimizer);
    require(norm, "norm");
    *norm =
        group == -1 ? one.grad_norm(stream_of(stream)) : one.grad_norm(group_of(group), stream_of(stream));
  });
}

int onepass_parameter_grad_norm(const onepass_optimizer* optimizer, const char* parameter, void* stream,
                                double* norm) {
  return guarded([&] {
    const onepass::Optimizer& one = optimizer_of(optimizer);
    require(parameter, "parameter");
    require(norm, "norm");
    *norm = one.grad_norm(parameter, stream_of(stream));
  });
}

int onepass_measure_numel(const onepass_optimizer* optimizer, int64_t* numel) {
  return guarded([&] { write(numel, "numel", optimizer_of(optimizer).measure_numel()); });
}

int onepass_measure(onepass_optimizer* optimizer, int64_t* measure, int64_t numel, void* stream) {
  return guarded([&] {
    onepass::Optimizer& one = optimizer_of(optimizer);
    one.measure(measure_of(one, measure, numel), stream_of(stream));
  });
}

int onepass_step_measured(onepass_optimizer* optimizer, const int64_t* measure, int64_t numel, void* stream) {
  return guarded([&] {
    onepass::Optimizer& one = optimizer_of(optimizer);
    one.step_measured(measure_of(one, measure, numel), stream_of(stream));
  });
}

int onepass_sums_numel(const onepass_optimizer* optimizer, int64_t* numel) {
  return guarded([&] { write(numel, "numel", optimizer_of(optimizer).sums_numel()); });
}

int onepass_begin_step(onepass_optimizer* optimizer, const int64_t* measure, int64_t measure_numel,
                       int64_t* sums, int64_t sums_numel, void* stream) {
  return guarded([&] {
    onepass::Optimizer& one = optimizer_of(optimizer);
    const onepass::Tensor into = measure_of(one, sums, sums_numel);
    if (measure == nullptr && measure_numel == 0) return one.begin_step(into, stream_of(stream));
    one.begin_step(measure_of(one, measure, measure_numel), into, stream_of(stream));
  });
}

int onepass_finish_step(onepass_optimizer* optimizer, const int64_t* sums, int64_t numel, void* stream) {
  return guarded([&] {
    onepass::Optimizer& one = optimizer_of(optimizer);
    one.finish_step(measure_of(one, sums, numel), stream_of(stream));
  });
}

int onepass_perturb(onepass_optimizer* optimizer, const onepass_sam* sam, void* stream) {
  return guarded([&] { optimizer_of(optimizer).perturb(sam_of(sam), stream_of(stream)); });
}

int onepass_restore(onepass_optimizer* optimizer, void* stream) {
  return guarded([&] { optimizer_of(optimizer).restore(stream_of(stream)); });
}

int onepass_measure_perturbation(onepass_optimizer* optimizer, const onepass_sam* sam, int64_t* measure,
                                 int64_t numel, void* stream) {
  return guarded([&] {
    onepass::Optimizer& one = optimizer_of(optimizer);
    one.measure_perturbation(sam_of(sam), measure_of(one, measure, numel), stream_of(stream));
  });
}

int onepass_perturb_measured(onepass_optimizer* optimizer, const onepass_sam* sam, const int64_t* measure,
                             int64_t numel, void* stream) {
  return guarded([&] {
    onepass::Optimizer& one = optimizer_of(optimizer);
    one.perturb_measured(sam_of(sam), measure_of(one, measure, numel), stream_of(stream));
  });
}

int onepass_fetch_grad_norm(onepass_optimizer* optimizer, void* stream) {
  return guarded([&] { optimizer_of(optimizer).fetch_grad_norm(stream_of(stream)); });
}

int onepass_fetched_grad_norm(const onepass_optimizer* optimizer, double* norm) {
  return guarded([&] { write(norm, "norm", optimizer_of(optimizer).fetched_grad_norm()); });
}

int onepass_penalty(const onepass_optimizer* optimizer, void* stream, double* penalty) {
  return guarded([&] { write(penalty, "penalty", optimizer_of(optimizer).penalty(stream_of(stream))); });
}

int onepass_loss_scale(const onepass_optimizer* optimizer, void* stream, float* scale) {
  return guarded([&] { write(scale, "scale", optimizer_of(optimizer).loss_scale(stream_of(stream))); });
}

int onepass_loss_scale_pointer(const onepass_optimizer* optimizer, const float** pointer) {
  return guarded([&] { write(pointer, "pointer", optimizer_of(optimizer).loss_scale_pointer()); });
}

int onepass_check(onepass_optimizer* optimizer, void* stream) {
  return guarded([&] { optimizer_of(optimizer).check(stream_of(stream)); });
}

}  // extern "C"
