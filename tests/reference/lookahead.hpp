// lookahead.hpp - Lookahead (Zhang et al. 2019, arXiv 1907.08610, algorithm 1) in float64.
#pragma once

#include <cstdint>

namespace reference {

/// The slow weight of one parameter, which phi names in the paper; theta is the fast one.
struct Lookahead {
  std::int64_t k;
  double alpha;
  double phi;  ///< Starts at the first theta.

  /// Follows step `t` of the inner optimizer, counted from 1, which has made `theta`. Returns the parameter
  /// that the next step starts from.
  double after(std::int64_t t, double theta) {
    if (t % k != 0) return theta;
    phi = phi + alpha * (theta - phi);
    return phi;
  }
};

}  // namespace reference
