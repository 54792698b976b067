// second_optimizer.hpp - the reference of rules without a hand-written step: a step that onepass itself takes
// on copies of a window.
#pragma once

#include "bench/check/reference.hpp"

namespace onepass::bench {

/// Returns the bytes after the step, like moved_by_hand(). A second optimizer takes the step on copies of
/// `before`, with the CPU's baseline instruction set and one thread. Comparing with it shows that threads,
/// instruction set, device and tables make no difference. It does not show that the rule is right.
Bytes moved_by_second_optimizer(const ReferenceStep& step, const Part& window, const Bytes& before);

}  // namespace onepass::bench
