// gradient_settings.hpp - checks a GradientHandling and converts it to the settings in a table.
#pragma once

#include "onepass/device.hpp"
#include "onepass/gradients.hpp"
#include "step/control.hpp"

namespace onepass {

/// Converts a GradientHandling. Throws InvalidArgument if a value is out of range or `device` cannot read a
/// pointer.
step::Settings checked_settings(const GradientHandling& handling, Device device);

/// Returns whether steps can divide by a loss scale: it and its inverse are above 0 and finite in float32.
bool is_loss_scale(double scale);

/// Converts a MicroBatch. Throws InvalidArgument if its weight is out of range or `device` cannot read the
/// pointer.
step::MicroBatch checked_micro_batch(const MicroBatch& batch, Device device);

/// The control of a table before its first step: nothing is counted, and no non-finite gradient was found.
step::Control fresh_control(const step::Settings& settings);

}  // namespace onepass
