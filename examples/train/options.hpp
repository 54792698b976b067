// options.hpp - the command line of onepass-train.
#pragma once

#include <cstdint>
#include <filesystem>
#include <optional>
#include <string>
#include <vector>

#include "data/dataset.hpp"

namespace train {

enum class DeviceChoice { automatic, cpu, cuda };

/// What was asked for; what was not is empty, so that a resumed run can take it from its file.
struct CommandLine {
  std::optional<std::string> optimizer;
  std::optional<std::vector<std::int64_t>> hidden;
  std::optional<std::int64_t> batch_size;  ///< 0: all training images.
  std::optional<double> lr;
  std::optional<double> weight_decay;
  std::optional<std::uint64_t> seed;
  std::optional<std::int64_t> epochs;
  std::optional<std::int64_t> steps;
  DeviceChoice device = DeviceChoice::automatic;
  int threads = 0;  ///< 0: all.
  bool compare = false;
  std::filesystem::path data = kDefaultData;
  std::filesystem::path csv, plot, save, resume;  ///< Empty: none.
};

/// What parsing says to do.
struct Parsed {
  CommandLine options;
  std::string text;  ///< To be printed instead of training: --help.
};

/// Throws UsageError with one sentence that names the option.
Parsed parse_command_line(int argc, const char* const* argv);

}  // namespace train
