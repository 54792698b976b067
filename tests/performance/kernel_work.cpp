// kernel_work.cpp - prints the work of every kernel, counted by cuda_emulator, as JSON.
#include <cstdio>
#include <exception>

#include "performance/around_work.hpp"
#include "support/work/kernel_work.hpp"

namespace onepass::test {
namespace {

void print(const KernelWork& work) {
  std::printf("{\"instructions\": %g, \"divisions\": %g, \"roots\": %g, \"read_sectors\": %g, ",
              work.instructions, work.divisions, work.roots, work.read_sectors);
  std::printf("\"write_sectors\": %g, \"local_accesses\": %g, ", work.write_sectors, work.local_accesses);
  std::printf("\"chunk_instructions\": %g, \"chunk_sectors\": %g}", work.chunk_instructions,
              work.chunk_sectors);
}

int run() {
  if (!work_is_counted()) {
    std::fprintf(stderr, "kernel_work: the CUDA runtime is not cuda_emulator, so it counts no work\n");
    return 1;
  }
  const char* before = "{";
  for (const NamedStep& named : named_steps()) {
    const char* const of = named.step.handling.clip_norm ? ": the norm" : "";
    std::printf("%s\"%s%s\": ", before, named.name.c_str(), of);
    print(work_of(named.step, named.kernel));
    before = ",\n";
  }
  for (const NamedLaunch& named : launches_around()) {
    std::printf("%s\"%s\": ", before, named.name.c_str());
    print(work_of(named.prepared, named.kernel));
  }
  std::puts("}");
  return 0;
}

}  // namespace
}  // namespace onepass::test

int main() {
  try {
    return onepass::test::run();
  } catch (const std::exception& error) {
    std::fprintf(stderr, "kernel_work: %s\n", error.what());
    return 1;
  }
}
