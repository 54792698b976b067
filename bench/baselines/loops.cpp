// loops.cpp - the baselines' loops of an instruction set.
#include "bench/baselines/loops.hpp"

namespace onepass::bench {

Loops baseline_loops(Isa isa) {
#if defined(__x86_64__)
  if (isa == Isa::avx512) return baseline_loops<Isa::avx512>();
  if (isa == Isa::avx2) return baseline_loops<Isa::avx2>();
#endif
  (void)isa;
  return baseline_loops<Isa::baseline>();
}

}  // namespace onepass::bench
