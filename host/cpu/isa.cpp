// isa.cpp - the instruction sets, threads, pools and cache of this machine, and the environment variables
// that force them.
#include <sched.h>

#include <charconv>
#include <cstdint>
#include <cstdlib>
#include <fstream>
#include <optional>
#include <string>
#include <string_view>

#include "host/cpu/isa.hpp"
#include "host/cpu/loops/table_loops.hpp"
#include "onepass/cpu.hpp"
#include "onepass/error.hpp"
#include "onepass/threads.hpp"

namespace onepass {
namespace {

constexpr std::int64_t kMostCache = std::int64_t{1} << 50;

/// The size of the last-level cache if the system does not tell it.
constexpr std::int64_t kUsualCache = std::int64_t{32} << 20;

/// The levels, from the widest down.
constexpr Isa kLevels[] = {Isa::avx512_bf16, Isa::avx512, Isa::avx2, Isa::baseline};

int usable_processors() {
  cpu_set_t set;
  CPU_ZERO(&set);
  if (sched_getaffinity(0, sizeof set, &set) != 0) return 1;
  return CPU_COUNT(&set) > 0 ? CPU_COUNT(&set) : 1;
}

/// Returns the number in an environment variable; nothing if it is unset or empty. Throws InvalidArgument if
/// it is not a number from `least` to `most`.
std::optional<std::int64_t> forced(const char* variable, std::int64_t least, std::int64_t most) {
  const char* const value = std::getenv(variable);
  if (value == nullptr || *value == '\0') return std::nullopt;
  const std::string_view text = value;
  std::int64_t number = 0;
  const auto parsed = std::from_chars(text.data(), text.data() + text.size(), number);
  if (parsed.ec != std::errc{} || parsed.ptr != text.data() + text.size() || number < least ||
      number > most) {
    throw InvalidArgument("onepass: " + std::string(variable) + " is \"" + std::string(text) +
                          "\", but must be a number from " + std::to_string(least) + " to " +
                          std::to_string(most));
  }
  return number;
}

}  // namespace

bool isa_available(Isa isa) {
  switch (isa) {
    case Isa::best:
    case Isa::baseline:
      return true;
#if defined(ONEPASS_WIDE_LOOPS)
    case Isa::avx2:
      return __builtin_cpu_supports("x86-64-v3");
    case Isa::avx512:
      return __builtin_cpu_supports("x86-64-v4");
    case Isa::avx512_bf16:
      return __builtin_cpu_supports("avx512bf16") && isa_available(Isa::avx512);
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
    case Isa::avx512_bf16:
      return "avx512_bf16";
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
    throw InvalidArgument(
        "onepass: ONEPASS_ISA is \"" + std::string(forced) +
        "\", but must be baseline, avx2, avx512 or avx512_bf16, and this machine must have it");
  }
  return Isa::baseline;
}

std::string_view to_string(Pool pool) {
  return pool == Pool::own ? "own" : pool == Pool::openmp ? "openmp" : "best";
}

Pool best_pool() {
  const char* const forced = std::getenv("ONEPASS_POOL");
  if (forced == nullptr || *forced == '\0') return Pool::openmp;
  for (const Pool pool : {Pool::own, Pool::openmp}) {
    if (to_string(pool) == forced) return pool;
  }
  throw InvalidArgument("onepass: ONEPASS_POOL is \"" + std::string(forced) +
                        "\", but must be own or openmp");
}

int cpu_threads() {
  const std::optional<std::int64_t> threads = forced("ONEPASS_THREADS", 1, cpu::kMostThreads);
  return threads ? static_cast<int>(*threads) : usable_processors();
}

std::int64_t cpu_cache_bytes() {
  if (const std::optional<std::int64_t> bytes = forced("ONEPASS_CACHE_BYTES", 0, kMostCache)) return *bytes;
  // sysconf() does not serve: for an AMD processor, glibc returns the sum of all its caches.
  std::int64_t kibibytes = 0;
  char unit = 0;
  std::ifstream("/sys/devices/system/cpu/cpu0/cache/index3/size") >> kibibytes >> unit;
  return kibibytes > 0 && unit == 'K' ? kibibytes * 1024 : kUsualCache;
}

const cpu::TableLoops& cpu::table_loops(Isa isa) {
#if defined(ONEPASS_WIDE_LOOPS)
  if (isa == Isa::avx512) return table_loops<Isa::avx512>();
  if (isa == Isa::avx2) return table_loops<Isa::avx2>();
#endif
  (void)isa;
  return table_loops<Isa::baseline>();
}

}  // namespace onepass
