// lookahead.hpp - Lookahead: slow weights that every k-th step moves, and from which the parameter goes on.
#pragma once

#include <cstdint>

#include "onepass/arithmetic/lane.hpp"

namespace onepass {

/// Lookahead (Zhang et al. 2019, arXiv 1907.08610) around any rule. Each step number k, 2 * k, ... of a
/// parameter p, after the rule has moved it, does
///
///     slow = slow + alpha * (p - slow)
///     p = slow
///
/// The slow weights are float32 and the state "slow" of each parameter. They start at the value that the
/// parameter has when it is registered, as in the paper. (The class of that name in timm starts them at the
/// first of these steps, which then moves nothing.) The states of the rule stay as they are. A step that
/// leaves a parameter out does not count, as its steps do. A moving average (EMA) and a copy of the parameter
/// follow the parameter as it then is.
///
/// p is the number that training uses: the master, if there is one. It must hold every float32, so parameters
/// of 16 bits need a master in float32 or the split one: others would round the slow weights away.
struct Lookahead {
  std::int64_t k = 6;  ///< Steps; > 0. The paper takes 5 or 10.
  double alpha = 0.5;  ///< In (0, 1], and above 0 in float32. 1 leaves the parameter as it is.

  bool operator==(const Lookahead&) const = default;
};

/// Weight of the parameter in its slow weights at its step t >= 1; 0: the step leaves these as they are.
ONEPASS_LANE float lookahead_weight(std::int64_t k, float alpha, std::int64_t t) {
  return k > 0 && t % k == 0 ? alpha : 0.0f;
}

}  // namespace onepass
