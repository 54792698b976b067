// gradient_settings.hpp - GradientHandling, checked, as the tables have it.
#pragma once

#include "onepass/device.hpp"
#include "onepass/gradients.hpp"
#include "step/control.hpp"

namespace onepass {

/// Throws InvalidArgument, naming the rule, if a value is out of range or a pointer cannot be read by
/// `device`.
step::Settings checked_settings(const char* rule, const GradientHandling& handling, Device device);

/// What a model starts from: nothing counted, nothing found.
step::Control fresh_control(const step::Settings& settings);

}  // namespace onepass
