// options.cpp - what the environment selects.
#include "runtime/options.hpp"

#include <unistd.h>

#include <cstdio>
#include <cstdlib>

namespace cuda_emulator {
namespace {

std::string variable(const char* name) {
  const char* value = std::getenv(name);
  return value == nullptr ? std::string{} : std::string(value);
}

[[noreturn]] void refuse(const char* name, const std::string& value) {
  std::fprintf(stderr, "cuda_emulator: %s=%s makes no sense\n", name, value.c_str());
  _exit(2);  // Not exit(): the device is being made, and its end would look for it.
}

std::uint32_t number(const char* name, const std::string& text) {
  char* end = nullptr;
  const unsigned long value = std::strtoul(text.c_str(), &end, 10);
  if (text.empty() || *end != '\0' || value > 0xffffffff) refuse(name, text);
  return static_cast<std::uint32_t>(value);
}

OrderOptions parse_order(const std::string& text) {
  if (text.empty() || text == "forward") return {};
  if (text == "reverse") return {ThreadOrder::reverse, 0};
  if (text == "random") return {ThreadOrder::random, 1};
  constexpr const char* kName = "ONEPASS_EMULATOR_ORDER";
  if (text.starts_with("random:")) return {ThreadOrder::random, number(kName, text.substr(7))};
  refuse(kName, text);
}

}  // namespace

Options read_options() {
  Options options;
  options.order = parse_order(variable("ONEPASS_EMULATOR_ORDER"));
  constexpr const char* kSms = "ONEPASS_EMULATOR_SMS";
  if (const std::string sms = variable(kSms); !sms.empty()) options.multiprocessors = number(kSms, sms);
  if (options.multiprocessors == 0 || options.multiprocessors > 1024) refuse(kSms, variable(kSms));
  options.check_races = variable("ONEPASS_EMULATOR_RACES") != "0";
  constexpr const char* kStats = "ONEPASS_EMULATOR_STATS";
  const std::string stats = variable(kStats);
  if (!stats.empty() && stats != "0" && stats != "1" && stats != "full") refuse(kStats, stats);
  options.counts = stats == "full";
  options.statistics = stats == "1" || options.counts;
  options.kernel_log = variable("ONEPASS_EMULATOR_KERNEL_LOG");
  return options;
}

}  // namespace cuda_emulator
