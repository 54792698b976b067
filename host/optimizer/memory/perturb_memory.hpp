// perturb_memory.hpp - what an optimizer keeps of its parameters while they are perturbed.
#pragma once

#include <cstdint>
#include <span>
#include <vector>

#include "host/optimizer/memory/storage_layout.hpp"
#include "onepass/device.hpp"
#include "onepass/parameter.hpp"
#include "onepass/regularizers/sam.hpp"
#include "step/perturb.hpp"

namespace onepass {

/// The streams that are kept of a parameter: its own, and that of its 16-bit copy.
std::vector<StreamSpec> kept_streams(const Parameter& parameter);

/// Room for the streams of all parameters, on their device.
class PerturbMemory {
 public:
  PerturbMemory() = default;
  /// Allocates it. Touches none of the room for the streams.
  PerturbMemory(Device device, std::span<const Parameter> parameters);

  [[nodiscard]] bool is_made() const { return rows_.data() != nullptr; }
  /// The arguments of a perturbation. Only for memory that is made.
  [[nodiscard]] step::Perturbation view(const Sam& sam) const;

 private:
  DeviceBuffer streams_;
  DeviceBuffer rows_;  ///< The state, then a KeptTensor for each parameter.
};

}  // namespace onepass
