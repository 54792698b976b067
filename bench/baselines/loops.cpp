// loops.cpp - selects the baselines' loops for an instruction set.
#include "bench/baselines/loops.hpp"

#include "host/cpu/isa.hpp"

namespace onepass::bench {

Loops baseline_loops(Isa isa) {
  const Isa level = cpu::loops_of(isa);
#if defined(__x86_64__)
  if (level == Isa::avx512) return baseline_loops<Isa::avx512>();
  if (level == Isa::avx2) return baseline_loops<Isa::avx2>();
#endif
  (void)level;
  return baseline_loops<Isa::baseline>();
}

}  // namespace onepass::bench
