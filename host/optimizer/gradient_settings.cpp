#include "host/optimizer/gradient_settings.hpp"

#include <cmath>
#include <limits>
#include <string>

#include "host/check/sentence.hpp"
#include "host/cuda/runtime.hpp"
#include "onepass/shared_loss_scaler.hpp"

namespace onepass {
namespace {

using step::Measure;

/// The eps that PyTorch adds to the norm.
constexpr double kPyTorchEps = 1e-6;

/// Checks the values of a GradientHandling.
class HandlingCheck {
 public:
  explicit HandlingCheck(Device device) : device_(device) {}

  void require(bool holds, const char* field, double value, const std::string& range) const {
    if (holds) return;
    refuse(std::string(field) + " must " + range + ", but is " + number(value));
  }

  /// Requires one of the enumerators, which count up to `last`.
  template <class Enum>
  void require_choice(const char* field, Enum value, Enum last) const {
    require(value <= last, field, static_cast<unsigned>(value), "be one of its enumerators");
  }

  void require_reachable(const float* pointer, const char* field) const {
    if (pointer == nullptr || cuda::reachable_from(pointer, device_)) return;
    refuse(std::string(field) + " is on " + to_string(cuda::home_of(pointer)) + ", but the optimizer is on " +
           to_string(device_));
  }

  void loss_scale(const char* field, double scale) const {
    require(is_loss_scale(scale), field, scale,
            "be above 0 and finite in float32, and have an inverse that is finite there");
  }

  void scaler(const LossScaler& scaler) const {
    loss_scale("LossScaler.init_scale", scaler.init_scale);
    loss_scale("LossScaler.min_scale", scaler.min_scale);
    loss_scale("LossScaler.max_scale", scaler.max_scale);
    require(scaler.init_scale >= scaler.min_scale && scaler.init_scale <= scaler.max_scale,
            "LossScaler.init_scale", scaler.init_scale,
            "lie in [min_scale, max_scale] = [" + number(scaler.min_scale) + ", " + number(scaler.max_scale) +
                "]");
    const auto growth = static_cast<float>(scaler.growth_factor);
    require(std::isfinite(growth) && growth > 1, "LossScaler.growth_factor", scaler.growth_factor,
            "be above 1 and finite in float32");
    const auto backoff = static_cast<float>(scaler.backoff_factor);
    require(backoff > 0 && backoff < 1, "LossScaler.backoff_factor", scaler.backoff_factor,
            "lie in (0, 1) in float32");
    if (scaler.growth_interval < 1) {
      refuse("LossScaler.growth_interval must be at least 1, but is " +
             std::to_string(scaler.growth_interval));
    }
  }

  void shared_scaler(const GradientHandling& handling) const {
    const SharedLossScaler* const shared = handling.shared_scaler;
    if (shared == nullptr) return;
    if (handling.loss_scale != 1.0) refuse("loss_scale and shared_scaler were both given");
    if (handling.loss_scaler) refuse("loss_scaler and shared_scaler were both given");
    if (handling.grad_scale != nullptr) refuse("grad_scale and shared_scaler were both given");
    if (shared->memory() == nullptr) refuse("shared_scaler has been moved from");
    if (shared->device() == device_) return;
    refuse("shared_scaler is on " + to_string(shared->device()) + ", but the optimizer is on " +
           to_string(device_));
  }

  void micro_batch(const MicroBatch& batch) const {
    const auto weight = static_cast<float>(batch.weight);
    require(std::isfinite(weight) && (weight > 0 || batch.weight == 0), "MicroBatch.weight", batch.weight,
            "be 0, or above 0 and finite in float32");
    require_reachable(batch.weight_pointer, "MicroBatch.weight_pointer");
  }

  void all(const GradientHandling& handling) const {
    require_choice("nonfinite", handling.nonfinite, NonFinite::error);
    if (handling.clip_norm) {
      require_choice("ClipGradNorm.norm_type", handling.clip_norm->norm_type, NormType::infinity);
      require_choice("ClipGradNorm.formula", handling.clip_norm->formula, ClipFormula::exact);
      require(handling.clip_norm->max_norm >= 0, "ClipGradNorm.max_norm", handling.clip_norm->max_norm,
              "be at least 0");
      if (handling.clip_norm->per_group && handling.clip_norm->per_parameter) {
        refuse("ClipGradNorm.per_group and ClipGradNorm.per_parameter were both set");
      }
    }
    require(handling.clip_value >= 0, "clip_value", handling.clip_value, "be at least 0");
    loss_scale("loss_scale", handling.loss_scale);
    if (handling.loss_scaler) {
      scaler(*handling.loss_scaler);
      if (handling.loss_scale != 1.0) refuse("loss_scale and loss_scaler were both given");
      if (handling.grad_scale != nullptr) refuse("grad_scale and loss_scaler were both given");
    }
    shared_scaler(handling);
    require_reachable(handling.found_inf, "found_inf");
    require_reachable(handling.grad_scale, "grad_scale");
  }

 private:
  Device device_;
};

Measure measure_of(const ClipGradNorm& clip) {
  switch (clip.norm_type) {
    case NormType::l1:
      return clip.exact ? Measure::exact_magnitudes : Measure::sum_of_magnitudes;
    case NormType::l2:
      return clip.exact ? Measure::exact_squares : Measure::sum_of_squares;
    case NormType::infinity:
      return Measure::largest;
  }
  return Measure::sum_of_squares;
}

}  // namespace

step::Settings checked_settings(const GradientHandling& handling, Device device) {
  HandlingCheck(device).all(handling);
  const ClipGradNorm clip = handling.clip_norm.value_or(ClipGradNorm{});
  const LossScaler scaler = handling.loss_scaler.value_or(LossScaler{});
  const bool scales = handling.loss_scaler.has_value();
  const SharedLossScaler* const shared = handling.shared_scaler;
  const bool skips = scales || shared != nullptr || handling.nonfinite != NonFinite::propagate;
  return {.max_norm = clip.max_norm,
          .norm_eps = clip.formula == ClipFormula::pytorch ? kPyTorchEps : 0.0,
          .max_value = static_cast<float>(handling.clip_value),
          .norm = measure_of(clip),
          .measures_gradients = skips || handling.clip_norm ? 1u : 0u,
          .skips_nonfinite = skips ? 1u : 0u,
          .remembers_nonfinite = handling.nonfinite == NonFinite::error ? 1u : 0u,
          .zeroes_gradients = handling.zero_grad ? 1u : 0u,
          .clips_by_group = handling.clip_norm && clip.per_group ? 1u : 0u,
          .clips_by_parameter = handling.clip_norm && clip.per_parameter ? 1u : 0u,
          .store = {},
          .found_inf = handling.found_inf,
          .grad_scale = handling.grad_scale,
          .shared_scale = shared != nullptr ? shared->memory() : nullptr,
          .growth_factor = scaler.growth_factor,
          .backoff_factor = scaler.backoff_factor,
          .growth_interval = scales ? scaler.growth_interval : 0,
          .min_scale = static_cast<float>(scaler.min_scale),
          .max_scale = static_cast<float>(scaler.max_scale)};
}

bool is_loss_scale(double scale) {
  const auto rounded = static_cast<float>(scale);
  return rounded > 0 && std::isfinite(rounded) && 1.0 / rounded <= std::numeric_limits<float>::max();
}

step::MicroBatch checked_micro_batch(const MicroBatch& batch, Device device) {
  HandlingCheck(device).micro_batch(batch);
  return {.weight_pointer = batch.weight_pointer,
          .weight = static_cast<float>(batch.weight),
          .drops_nonfinite = batch.drop_nonfinite ? 1u : 0u};
}

step::Control fresh_control(const step::Settings& settings) {
  step::Control control{};
  control.settings = settings;
  control.progress.loss_scale.value = 1.0f;
  control.progress.nonfinite = step::kNowhere;
  control.progress.measured_nonfinite = step::kNowhere;
  control.progress.miscounted = step::kNowhere;
  control.gradients = step::Reduction::none();
  control.round = step::Reduction::none();
  control.penalty = step::Reduction::none();
  return control;
}

}  // namespace onepass
