// cpu_machine.cpp - the host's processors, timed by its steady clock.
#include <chrono>
#include <fstream>
#include <optional>

#include "bench/machine/cache_emptier.hpp"
#include "bench/machine/machine.hpp"
#include "onepass/cpu.hpp"

namespace onepass::bench {
namespace {

std::string processor_name() {
  std::ifstream file("/proc/cpuinfo");
  for (std::string line; std::getline(file, line);) {
    const std::size_t colon = line.find(": ");
    if (line.starts_with("model name") && colon != std::string::npos) return line.substr(colon + 2);
  }
  return "unknown processor";
}

/// Returns family and model, because the names of server processors do not tell the generation.
std::string family_and_model() {
  std::ifstream file("/proc/cpuinfo");
  std::string family, model;
  for (std::string line; std::getline(file, line);) {
    const std::size_t colon = line.find(": ");
    if (line.starts_with("cpu family") && family.empty()) family = line.substr(colon + 2);
    if (line.starts_with("model\t") && model.empty()) model = line.substr(colon + 2);
  }
  return family.empty() ? "" : " (family " + family + ", model " + model + ")";
}

/// Returns the memory that Linux reports as available, or a guess of 8 GiB if it reports nothing.
double available_memory() {
  std::ifstream file("/proc/meminfo");
  std::string name;
  double kibibytes = 0.0;
  for (std::string unit; file >> name >> kibibytes && std::getline(file, unit);) {
    if (name == "MemAvailable:") return kibibytes * 1024.0;
  }
  return 0x1p33;
}

class CpuMachine final : public Machine {
 public:
  std::string name() const override { return processor_name() + family_and_model(); }
  int launches(bool clips) const override { return clips ? 2 : 1; }
  double free_bytes() const override { return available_memory(); }
  double cache_bytes() const override { return static_cast<double>(cpu_cache_bytes()); }
  double emptying_bytes(int threads) const override { return CacheEmptier::bytes(threads); }

  void warm_up(const std::function<void()>& work) override { work(); }
  void empty_caches(int threads) override {
    if (!emptier_ || emptier_->threads() != threads) emptier_.emplace(threads);
    emptier_->run();
  }

  std::function<void()> captured(const std::function<void(Stream)>& /*step*/) override { return {}; }

  Elapsed time(const std::function<void()>& work, int repeats) override {
    using Clock = std::chrono::steady_clock;
    const Clock::time_point start = Clock::now();
    for (int i = 0; i < repeats; ++i) work();
    const double each = std::chrono::duration<double>(Clock::now() - start).count() / repeats;
    return {each, each};
  }

 private:
  std::optional<CacheEmptier> emptier_ = std::nullopt;  ///< Made when first needed.
};

}  // namespace

std::unique_ptr<Machine> cpu_machine() { return std::make_unique<CpuMachine>(); }

}  // namespace onepass::bench
