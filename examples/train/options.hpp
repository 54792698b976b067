// options.hpp - the command line of onepass-train.
#pragma once

#include <cstdint>
#include <filesystem>
#include <optional>
#include <string>
#include <vector>

#include "data/dataset.hpp"
#include "training/settings.hpp"

namespace train {

enum class DeviceChoice { automatic, cpu, cuda };

/// One run of --compare: what it does differently from the rest of the command line.
struct Configuration {
  std::string label;
  Changes changes;
};

/// So that it does not matter what the rest of the command line says of the setting.
bool changed_by_all(const std::vector<Configuration>& configurations, const Setting& setting);

struct CommandLine {
  Changes changes;  ///< Settings that were given; the others are the defaults or those of the resumed run.
  std::vector<Configuration> configurations;  ///< Of --compare; empty: one run.
  std::optional<std::int64_t> epochs;
  std::optional<std::int64_t> steps;
  DeviceChoice device = DeviceChoice::automatic;
  int threads = 0;  ///< 0: all.
  std::filesystem::path data = kDefaultData;
  std::filesystem::path csv, plot, save, resume;  ///< Empty: none.
};

/// What parsing says to do.
struct Parsed {
  CommandLine options;
  std::string text;  ///< To be printed instead of training: --help or --list.
};

/// Throws UsageError with one sentence that names the option.
Parsed parse_command_line(int argc, const char* const* argv);

}  // namespace train
