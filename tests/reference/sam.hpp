// sam.hpp - where SAM and ASAM move parameters, in long double.
#pragma once

#include <cmath>
#include <cstddef>
#include <span>
#include <vector>

namespace reference {

/// Foret et al. 2021, equation 2, and Kwon et al. 2021, algorithm 1, with the 1e-12 of the authors' code.
struct Sam {
  double rho;
  bool adaptive = false;
  double eta = 0.0;

  [[nodiscard]] long double size(long double p) const {
    return adaptive ? std::fabs(p) + static_cast<long double>(eta) : 1.0L;
  }

  /// The norm over all tensors; gradients are multiplied by `scale`.
  [[nodiscard]] long double norm(std::span<const std::vector<float>> params,
                                 std::span<const std::vector<float>> gradients, double scale = 1.0) const {
    long double squares = 0.0L;
    for (std::size_t t = 0; t < params.size(); ++t) {
      for (std::size_t i = 0; i < gradients[t].size(); ++i) {
        const long double x = size(params[t][i]) * gradients[t][i] * scale;
        squares += x * x;
      }
    }
    return std::sqrt(squares);
  }

  /// How far an element moves.
  [[nodiscard]] long double moved_by(long double p, long double g, long double norm,
                                     double scale = 1.0) const {
    const long double t = size(p);
    return rho * t * t * g * scale / (norm + 1e-12L);
  }
};

}  // namespace reference
