// quiet.hpp - whether somebody else is using the processors.
#pragma once

namespace onepass::bench {

/// Waits until no other task of the machine is runnable, `patience` seconds at most. False if one still was.
bool wait_until_quiet(double patience);

/// How often threads of this process have had to give up a processor so far.
long involuntary_switches();

}  // namespace onepass::bench
