#include "host/optimizer/memory/perturb_memory.hpp"

#include <cstring>
#include <utility>

#include "host/optimizer/memory/state_memory.hpp"

namespace onepass {
namespace {

/// Offset of the tensors' rows behind the state.
constexpr std::size_t kRows = sizeof(step::PerturbState);
static_assert(kRows % alignof(step::KeptTensor) == 0);

}  // namespace

std::vector<StreamSpec> kept_streams(const Parameter& parameter) {
  std::vector<StreamSpec> specs{{"old_p", StreamRole::kept, parameter.value.dtype}};
  if (parameter.copy.data != nullptr) specs.push_back({"old_copy", StreamRole::kept, parameter.copy.dtype});
  return specs;
}

PerturbMemory::PerturbMemory(Device device, std::span<const Parameter> parameters) {
  std::vector<std::vector<StreamSpec>> specs;
  for (const Parameter& parameter : parameters) specs.push_back(kept_streams(parameter));
  StateMemory memory = StateMemory::allocate(device, parameters, specs);

  std::vector<std::byte> bytes(kRows + parameters.size() * sizeof(step::KeptTensor));
  const step::PerturbState state = step::PerturbState::none();
  std::memcpy(bytes.data(), &state, sizeof state);
  for (std::size_t i = 0; i < parameters.size(); ++i) {
    const bool has_copy = specs[i].size() > 1;
    const step::KeptTensor row{memory.streams[i][0].data, has_copy ? memory.streams[i][1].data : nullptr, 0};
    std::memcpy(bytes.data() + kRows + i * sizeof row, &row, sizeof row);
  }
  DeviceBuffer rows(device, bytes.size());
  copy({device, rows.data()}, {Device::cpu(), bytes.data()}, bytes.size());
  streams_ = std::move(memory.allocation);
  rows_ = std::move(rows);
}

step::Perturbation PerturbMemory::view(const Sam& sam) const {
  return {.kept = reinterpret_cast<step::KeptTensor*>(rows_.as<std::byte>() + kRows),
          .state = rows_.as<step::PerturbState>(),
          .rho = sam.rho,
          .eta = sam.adaptive ? static_cast<float>(sam.eta) : 0.0f,
          .is_adaptive = sam.adaptive ? 1u : 0u};
}

}  // namespace onepass
