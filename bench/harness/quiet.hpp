// quiet.hpp - detects other tasks that use the processors.
#pragma once

namespace onepass::bench {

/// Waits until no other task of the machine is runnable, at most `patience` seconds. Returns false if another
/// task was still runnable then.
bool wait_until_quiet(double patience);

/// Returns how often threads of this process have been preempted so far.
long involuntary_switches();

}  // namespace onepass::bench
