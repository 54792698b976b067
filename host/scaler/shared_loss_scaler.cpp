// shared_loss_scaler.cpp - allocates, updates, saves and restores a loss scale that optimizers share.
#include "onepass/shared_loss_scaler.hpp"

#include <string>

#include "host/cpu/threads/float_environment.hpp"
#include "host/cuda/loss_scale.hpp"
#include "host/cuda/runtime.hpp"
#include "host/optimizer/gradient_settings.hpp"
#include "onepass/error.hpp"
#include "step/decide_step.hpp"

namespace onepass {
namespace {

/// A round that begins with a scale.
step::SharedScale beginning(const LossScaler& settings, const SharedLossScaler::State& state, Device device) {
  if (state.growth_tracker < 0) {
    throw InvalidArgument("onepass: SharedLossScaler: growth_tracker must be at least 0, but is " +
                          std::to_string(state.growth_tracker));
  }
  LossScaler present = settings;
  present.init_scale = state.scale;
  return {.settings = checked_settings({.loss_scaler = present}, device),
          .scale = {state.growth_tracker, state.scale, 0},
          .stepped = 0,
          .overflowed = 0};
}

/// Asks for the device first, so that the error for a missing device names it.
DeviceBuffer allocate(Device device) {
  if (device.is_cuda()) {
    cuda::require_device(device.index());
    cuda::load_update_scale(device.index());
  }
  return {device, sizeof(step::SharedScale)};
}

}  // namespace

SharedLossScaler::SharedLossScaler(Device device, const LossScaler& settings)
    : settings_(settings), memory_(allocate(device)) {
  static_cast<void>(checked_settings({.loss_scaler = settings}, device));
  load_state({.scale = static_cast<float>(settings.init_scale)});
}

void SharedLossScaler::update(Stream stream) {
  if (device().is_cuda()) return cuda::update_scale(device().index(), memory(), stream);
  const cpu::DefaultFloatEnvironment environment;
  step::update_shared_scale(*memory());
}

const float* SharedLossScaler::scale_pointer() const { return &memory()->scale.value; }

SharedLossScaler::State SharedLossScaler::state(Stream stream) const {
  step::LossScale scale{};
  copy({Device::cpu(), &scale}, {device(), &memory()->scale}, sizeof scale, stream);
  return {.scale = scale.value, .growth_tracker = scale.growth_tracker};
}

void SharedLossScaler::load_state(const State& state, Stream stream) {
  const step::SharedScale contents = beginning(settings_, state, device());
  copy({device(), memory()}, {Device::cpu(), &contents}, sizeof contents, stream);
}

}  // namespace onepass
