// perturb.hpp - SAM's perturbation of the parameters, and how they are put back.
#pragma once

#include <cstdint>

#include "onepass/stream.hpp"
#include "step/perturb.hpp"

namespace onepass::kernels {

using namespace step;

/// How many thread blocks of these kernels fit on a device at once.
struct PerturbBlocks {
  int measure, perturb, restore;
};

/// Returns them for the current device. Loads the kernels. Throws CudaError.
PerturbBlocks perturb_blocks();

// Each of these is one launch, asynchronous on the stream. Throws CudaError.

/// Adds the squares of step::term() over every gradient that is not null to the measure.
void measure_terms(const Table& table, const Perturbation& how, const PerturbBlocks& resident, Stream stream);
/// Calls give_squares() or take_squares() on the device.
void give_squares(const Perturbation& how, std::int64_t* words, Stream stream);
void take_squares(const Perturbation& how, const std::int64_t* words, Stream stream);
/// Keeps the parameters and moves them by the measure, zeroes gradients that a step would zero, and empties
/// the measure. Does nothing but that if they are moved already.
void perturb(const Table& table, const Perturbation& how, const PerturbBlocks& resident, Stream stream);
/// Puts the parameters back. Does nothing if they are not moved.
void restore(const Table& table, const Perturbation& how, const PerturbBlocks& resident, Stream stream);

}  // namespace onepass::kernels
