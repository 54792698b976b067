// options.cpp - reads the settings from the environment.
#include "runtime/options.hpp"

#include <unistd.h>

#include <cstdio>
#include <cstdlib>

namespace cuda_emulator {
namespace {

/// One setting of the environment, with the name of the variable that holds it.
struct Setting {
  std::string name;
  std::string value;  ///< Empty if neither variable is set.
};

/// Reads CUDA_EMULATOR_<key>, or ONEPASS_EMULATOR_<key> if the first is not set.
Setting read_setting(const std::string& key) {
  const std::string neutral = "CUDA_EMULATOR_" + key;
  if (const char* value = std::getenv(neutral.c_str())) return {neutral, value};
  const std::string own = "ONEPASS_EMULATOR_" + key;
  if (const char* value = std::getenv(own.c_str())) return {own, value};
  return {neutral, {}};
}

[[noreturn]] void refuse(const Setting& setting) {
  std::fprintf(stderr, "cuda_emulator: %s=%s makes no sense\n", setting.name.c_str(), setting.value.c_str());
  // exit() would run the end of the process, which needs the device that is being made here.
  _exit(2);
}

std::uint32_t parse_number(const Setting& setting, const std::string& text) {
  char* end = nullptr;
  const unsigned long value = std::strtoul(text.c_str(), &end, 10);
  if (text.empty() || *end != '\0' || value > 0xffffffff) refuse(setting);
  return static_cast<std::uint32_t>(value);
}

OrderOptions parse_order(const Setting& setting) {
  const std::string& text = setting.value;
  if (text.empty() || text == "forward") return {};
  if (text == "reverse") return {ThreadOrder::reverse, 0};
  if (text == "random") return {ThreadOrder::random, 1};
  if (text.starts_with("random:")) return {ThreadOrder::random, parse_number(setting, text.substr(7))};
  refuse(setting);
}

std::uint32_t parse_multiprocessors(const Setting& setting, std::uint32_t otherwise) {
  if (setting.value.empty()) return otherwise;
  const std::uint32_t count = parse_number(setting, setting.value);
  if (count == 0 || count > 1024) refuse(setting);
  return count;
}

}  // namespace

Options read_options() {
  Options options;
  options.order = parse_order(read_setting("ORDER"));
  options.multiprocessors = parse_multiprocessors(read_setting("SMS"), options.multiprocessors);
  options.check_races = read_setting("RACES").value != "0";
  const Setting stats = read_setting("STATS");
  if (!stats.value.empty() && stats.value != "0" && stats.value != "1" && stats.value != "full")
    refuse(stats);
  options.counts = stats.value == "full";
  options.statistics = stats.value == "1" || options.counts;
  options.kernel_log = read_setting("KERNEL_LOG").value;
  return options;
}

}  // namespace cuda_emulator
