// cpu_work.cpp - steps between marks that callgrind understands: it counts the instructions of each.
#include <valgrind/callgrind.h>

#include <cstdio>
#include <exception>
#include <string>

#include "support/work/work_step.hpp"

namespace onepass::test {
namespace {

/// Callgrind writes down what the step costs, under `name`.
void count_step(const std::string& name, const PreparedStep& prepared) {
  CALLGRIND_ZERO_STATS;
  prepared.step();
  CALLGRIND_DUMP_STATS_AT(name.c_str());
}

void run() {
  for (NamedStep& named : named_steps()) {
    if (named.step.handling.zero_grad) continue;  // That is the C library's memset.
    named.step.options.isa = Isa::avx2;           // Valgrind knows no AVX-512.
    named.step.options.threads = 1;
    // Both are one chunk; what one has more than the other is the work of so many elements.
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
