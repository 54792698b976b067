// shared_loss_scaler.hpp - one dynamic loss scale for several optimizers.
#pragma once

#include <cstdint>

#include "onepass/device.hpp"
#include "onepass/gradients.hpp"
#include "onepass/stream.hpp"

namespace onepass {

namespace step {
struct SharedScale;
}

/// A loss scale that several optimizers share, as torch.amp.GradScaler serves several. Attach it by
/// GradientHandling::shared_scaler.
///
/// A round is a step of each optimizer that has gradients, in any order, and then update(). Steps read the
/// scale and never change it, so each divides by the scale that its loss was multiplied by, whichever comes
/// first. A step that finds a gradient that is not finite is skipped, and the other optimizers' steps are
/// not. update() then changes the scale as LossScaler describes: it backs off if a step of the round was
/// skipped, else it counts a good round. A round without steps changes nothing.
///
/// An optimizer that accumulates may have a window of several rounds: each micro-batch is divided by the
/// scale that it was added at. Between a loss and the step() or accumulate() that takes its gradients, do not
/// call update().
///
/// Everything is decided on the device, asynchronously, and can be captured in CUDA graphs. If optimizers
/// step on several CUDA streams, update() must come after all of them, for example by events. Move-only; it
/// must neither move nor end while an optimizer is attached.
class SharedLossScaler {
 public:
  /// The state to save, after update(), to continue later.
  struct State {
    float scale = 0.0f;
    std::int64_t growth_tracker = 0;  ///< Rounds since the scale last changed.

    friend bool operator==(const State&, const State&) = default;
  };

  /// Puts the scale on a device, which must be that of the optimizers, and waits until it is there. Throws
  /// InvalidArgument if there is no such device or a setting is out of range, and CudaError.
  explicit SharedLossScaler(Device device, const LossScaler& settings = {});

  /// Device that has the scale.
  [[nodiscard]] Device device() const { return memory_.device(); }
  /// The settings that it was made with. growth_interval counts rounds.
  [[nodiscard]] const LossScaler& settings() const { return settings_; }

  /// Ends a round: changes the scale by what the steps since the last call found. Asynchronous on `stream`;
  /// one small launch on CUDA. Throws CudaError.
  void update(Stream stream = {});

  /// Returns a pointer to one float on the device: the factor by which you multiply the losses.
  [[nodiscard]] const float* scale_pointer() const;
  /// Returns the present scale. Waits for `stream`.
  [[nodiscard]] float scale(Stream stream = {}) const { return state(stream).scale; }

  /// Returns the scale and how long it has been in use. Waits for `stream`.
  [[nodiscard]] State state(Stream stream = {}) const;
  /// Continues from a saved state, at the beginning of a round. Waits for `stream`. Throws InvalidArgument if
  /// the scale is out of the range of LossScaler::init_scale or the count is negative.
  void load_state(const State& state, Stream stream = {});

  /// Its memory on the device, which the optimizers' steps read; null if it has been moved from.
  [[nodiscard]] step::SharedScale* memory() const { return memory_.as<step::SharedScale>(); }

 private:
  LossScaler settings_;
  DeviceBuffer memory_;
};

}  // namespace onepass
