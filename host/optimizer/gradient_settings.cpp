#include "host/optimizer/gradient_settings.hpp"

#include <cmath>
#include <limits>
#include <string>

#include "host/check/sentence.hpp"
#include "host/cuda/runtime.hpp"

namespace onepass {
namespace {

using step::Measure;

/// The eps that PyTorch adds to the norm.
constexpr double kPyTorchEps = 1e-6;

/// Checks the values of a GradientHandling.
class HandlingCheck {
 public:
  explicit HandlingCheck(Device device) : device_(device) {}

  void require(bool holds, const char* field, double value, const char* range) const {
    if (holds) return;
    refuse(std::string(field) + " must " + range + ", but is " + number(value));
  }

  void require_reachable(const float* pointer, const char* field) const {
    if (pointer == nullptr || cuda::reachable_from(pointer, device_)) return;
    refuse(std::string(field) + " is on " + to_string(cuda::home_of(pointer)) + ", but the optimizer is on " +
           to_string(device_));
  }

  void scaler(const LossScaler& scaler) const {
    const auto scale = static_cast<float>(scaler.init_scale);
    require(std::isfinite(scale) && scale > 0, "LossScaler.init_scale", scaler.init_scale,
            "be above 0 and finite in float32");
    require(std::isfinite(scaler.growth_factor) && scaler.growth_factor > 1, "LossScaler.growth_factor",
            scaler.growth_factor, "be above 1");
    require(scaler.backoff_factor > 0 && scaler.backoff_factor < 1, "LossScaler.backoff_factor",
            scaler.backoff_factor, "lie in (0, 1)");
    require(scaler.growth_interval > 0, "LossScaler.growth_interval",
            static_cast<double>(scaler.growth_interval), "be at least 1");
  }

  void all(const GradientHandling& handling) const {
    if (handling.clip_norm) {
      require(handling.clip_norm->max_norm >= 0, "ClipGradNorm.max_norm", handling.clip_norm->max_norm,
              "be at least 0");
    }
    require(handling.clip_value >= 0, "clip_value", handling.clip_value, "be at least 0");
    const auto scale = static_cast<float>(handling.loss_scale);
    require(std::isfinite(scale) && scale > 0, "loss_scale", handling.loss_scale,
            "be above 0 and finite in float32");
    if (handling.loss_scaler) {
      scaler(*handling.loss_scaler);
      if (handling.loss_scale != 1.0) refuse("loss_scale and loss_scaler were both given");
      if (handling.grad_scale != nullptr) refuse("grad_scale and loss_scaler were both given");
    }
    require_reachable(handling.found_inf, "found_inf");
    require_reachable(handling.grad_scale, "grad_scale");
  }

 private:
  Device device_;
};

Measure measure_of(const ClipGradNorm& clip) {
  switch (clip.norm_type) {
    case NormType::l1:
      return Measure::sum_of_magnitudes;
    case NormType::l2:
      return Measure::sum_of_squares;
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
  const bool skips = scales || handling.nonfinite != NonFinite::propagate;
  return {.max_norm = clip.max_norm,
          .norm_eps = clip.formula == ClipFormula::pytorch ? kPyTorchEps : 0.0,
          .max_value = static_cast<float>(handling.clip_value),
          .norm = measure_of(clip),
          .measures_gradients = skips || handling.clip_norm ? 1u : 0u,
          .skips_nonfinite = skips ? 1u : 0u,
          .remembers_nonfinite = handling.nonfinite == NonFinite::error ? 1u : 0u,
          .zeroes_gradients = handling.zero_grad ? 1u : 0u,
          .store = {},
          .found_inf = handling.found_inf,
          .grad_scale = handling.grad_scale,
          .growth_factor = scaler.growth_factor,
          .backoff_factor = scaler.backoff_factor,
          .growth_interval = scales ? scaler.growth_interval : 0};
}

step::Control fresh_control(const step::Settings& settings) {
  step::Control control{};
  control.settings = settings;
  control.progress.loss_scale.value = 1.0f;
  control.progress.nonfinite = step::kNowhere;
  control.gradients = step::Reduction::none();
  control.penalty = step::Reduction::none();
  return control;
}

}  // namespace onepass
