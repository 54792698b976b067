// gradient_settings.hpp - GradientHandling, checked, as the tables have it.
#pragma once

#include "kernels/control.hpp"
#include "onepass/device.hpp"
#include "onepass/gradients.hpp"

namespace onepass {

/// Throws InvalidArgument, naming the rule, if a value is out of range or a pointer cannot be read by
/// `device`.
kernels::Settings checked_settings(const char* rule, const GradientHandling& handling, Device device);

/// What a model starts from: nothing counted, nothing found.
kernels::Control fresh_control(const kernels::Settings& settings);

}  // namespace onepass
