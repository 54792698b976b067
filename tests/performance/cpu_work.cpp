// cpu_work.cpp - runs steps between callgrind marks, so that callgrind counts the instructions of each.
#include <valgrind/callgrind.h>

#include <cstdio>
#include <exception>
#include <string>

#include "support/work/work_step.hpp"

namespace onepass::test {
namespace {

/// Runs one step and makes callgrind write its cost under `name`.
void count_step(const std::string& name, PreparedStep prepared) {
  CALLGRIND_ZERO_STATS;
  prepared.step();
  CALLGRIND_DUMP_STATS_AT(name.c_str());
}

void run() {
  for (NamedStep& named : named_steps()) {
    if (named.step.handling.zero_grad) continue;  // It is the C library's memset.
    named.step.options.isa = Isa::avx2;           // Valgrind does not support AVX-512.
    named.step.options.threads = 1;
    // Each size is one chunk, so the difference of the costs is the work of the additional elements.
    for (const std::int64_t numel : {4 * 1024, 8 * 1024}) {
      count_step(named.name + "|" + std::to_string(numel), PreparedStep(named.step, Device::cpu(), numel));
    }
  }
}

}  // namespace
}  // namespace onepass::test

int main() {
  try {
    onepass::test::run();
  } catch (const std::exception& error) {
    std::fprintf(stderr, "cpu_work: %s\n", error.what());
    return 1;
  }
}
