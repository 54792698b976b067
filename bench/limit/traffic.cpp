// traffic.cpp - selects the limit's loop for an instruction set and a kind of streams.
#include "bench/limit/traffic.hpp"

#include "host/cpu/isa.hpp"

namespace onepass::bench {
namespace {

TrafficTable table_of(Isa isa) {
  const Isa level = cpu::loops_of(isa);
#if defined(__x86_64__)
  if (level == Isa::avx512) return traffic_table<Isa::avx512>();
  if (level == Isa::avx2) return traffic_table<Isa::avx2>();
#endif
  (void)level;
  return traffic_table<Isa::baseline>();
}

}  // namespace

Traffic traffic(Isa isa, const TrafficKind& kind) {
  constexpr std::size_t kStateCounts = TensorStreams::kMaxStates + 1;
  const std::size_t row = kind.format * 2 + (kind.low_grad ? 1 : 0);
  return table_of(isa).loops[row * kStateCounts + static_cast<std::size_t>(kind.states)];
}

}  // namespace onepass::bench
