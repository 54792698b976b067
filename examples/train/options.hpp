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

/// One run of --compare: its label and its changes to the rest of the command line.
struct Configuration {
  std::string label;
  Changes changes;
};

/// Returns true if every configuration changes `setting`, so that its value elsewhere has no effect.
bool changed_by_all(const std::vector<Configuration>& configurations, const Setting& setting);

struct CommandLine {
  Changes changes;  ///< Settings that were given; others have the defaults or the values of the resumed run.
  std::vector<Configuration> configurations;  ///< The runs of --compare; empty for a single run.
  std::optional<std::int64_t> epochs;
  std::optional<std::int64_t> steps;
  DeviceChoice device = DeviceChoice::automatic;
  int threads = 0;  ///< 0: all threads.
  std::filesystem::path data = kDefaultData;
  std::filesystem::path csv, plot, save, resume;  ///< Empty if not given.
};

/// The result of parsing.
struct Parsed {
  CommandLine options;
  std::string text;  ///< The text of --help or --list, to print instead of training; else empty.
};

/// Throws UsageError with one sentence that names the option.
Parsed parse_command_line(int argc, const char* const* argv);

}  // namespace train
