#include <sched.h>

#include <charconv>
#include <cstdlib>
#include <string>
#include <string_view>

#include "onepass/cpu.hpp"
#include "onepass/error.hpp"

namespace onepass {
namespace {

constexpr int kMostThreads = 1024;

/// Levels from the widest down.
constexpr Isa kLevels[] = {Isa::avx512, Isa::avx2, Isa::baseline};

int usable_processors() {
  cpu_set_t set;
  CPU_ZERO(&set);
  if (sched_getaffinity(0, sizeof set, &set) != 0) return 1;
  return CPU_COUNT(&set) > 0 ? CPU_COUNT(&set) : 1;
}

}  // namespace

bool isa_available(Isa isa) {
  switch (isa) {
    case Isa::best:
    case Isa::baseline:
      return true;
#if defined(__x86_64__)
    case Isa::avx2:
      return __builtin_cpu_supports("avx2") && __builtin_cpu_supports("fma") &&
             __builtin_cpu_supports("bmi2");
    case Isa::avx512:
      return __builtin_cpu_supports("avx512f") && __builtin_cpu_supports("avx512bw") &&
             __builtin_cpu_supports("avx512cd") && __builtin_cpu_supports("avx512dq") &&
             __builtin_cpu_supports("avx512vl") && isa_available(Isa::avx2);
#else
    default:
      return false;
#endif
  }
  return false;
}

std::string_view to_string(Isa isa) {
  switch (isa) {
    case Isa::baseline:
      return "baseline";
    case Isa::avx2:
      return "avx2";
    case Isa::avx512:
      return "avx512";
    case Isa::best:
      break;
  }
  return "best";
}

Isa best_isa() {
  const char* const forced = std::getenv("ONEPASS_ISA");
  if (forced == nullptr || *forced == '\0') {
    for (const Isa isa : kLevels) {
      if (isa_available(isa)) return isa;
    }
  } else {
    for (const Isa isa : kLevels) {
      if (to_string(isa) == forced && isa_available(isa)) return isa;
    }
    throw InvalidArgument("onepass: ONEPASS_ISA is \"" + std::string(forced) +
                          "\", but must be baseline, avx2 or avx512, and this machine must have it");
  }
  return Isa::baseline;
}

int cpu_threads() {
  const char* const forced = std::getenv("ONEPASS_THREADS");
  if (forced == nullptr || *forced == '\0') return usable_processors();
  const std::string_view text = forced;
  int threads = 0;
  const auto parsed = std::from_chars(text.data(), text.data() + text.size(), threads);
  if (parsed.ec != std::errc{} || parsed.ptr != text.data() + text.size() || threads < 1 ||
      threads > kMostThreads) {
    throw InvalidArgument("onepass: ONEPASS_THREADS is \"" + std::string(text) +
                          "\", but must be a number from 1 to " + std::to_string(kMostThreads));
  }
  return threads;
}

}  // namespace onepass
