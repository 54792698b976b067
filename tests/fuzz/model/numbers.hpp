// numbers.hpp - compares the numbers of steps and micro-batches with the float64 references.
#pragma once

#include <cstddef>
#include <vector>

#include "fuzz/side.hpp"
#include "reference/gradients.hpp"

namespace onepass::fuzz {

/// Throws Mismatch if a float32 tensor has moved elsewhere than its reference, with its states and its
/// average.
void require_moved(const Side& side, std::size_t tensor, const Rates& rates,
                   const reference::Handling& handling, const std::vector<float>& gradient,
                   const Shot& before, const Shot& after);

/// Throws Mismatch unless a sum has grown by factor times the gradient.
void require_summed(const SavedParameter& before, const SavedParameter& after, float factor,
                    const std::vector<float>& gradient);

}  // namespace onepass::fuzz
