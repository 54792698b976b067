// options.hpp - what the command line asks for.
#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <vector>

#include "bench/cases/formats.hpp"
#include "bench/cases/rules.hpp"
#include "onepass/cpu.hpp"
#include "onepass/device.hpp"

namespace onepass::bench {

struct BenchOptions {
  std::vector<const RuleChoice*> rules;
  std::vector<const FormatChoice*> formats;
  std::vector<std::string> layouts;  ///< "flat", "resnet50", "gpt2", "llama8b", "2000x1000"
  std::vector<std::int64_t> sizes;   ///< Of "flat".
  std::vector<int> threads;
  std::vector<Isa> isas;  ///< Not Isa::best.
  Device device = Device::cpu();
  int rounds = 0;         ///< 0: 31 up to 2e6 parameters, else 15.
  double seconds = 1e-3;  ///< Of a sample.
  double patience = 0.02;
  int best_of = 5;      ///< Of samples up to 2e6 parameters.
  double memory = 0.0;  ///< Bytes that a batch may take. 0: half of what is free.
  bool hot = true;      ///< Caches as the step before leaves them.
  bool cold = false;    ///< Caches emptied before each sample, where the streams do not outgrow them.
  double rest = 0.0;    ///< Seconds that all rest before each sample, instead of either; 0: they do not.
  int burst = 1;        ///< Steps of a sample after a rest.
  bool clips = false;   ///< Steps measure the gradients' norm.
  bool graph = false;   ///< A captured step is timed, too, where the device captures.
  bool baselines = true;
  std::string json, markdown;  ///< Paths; empty for none. Without `markdown` the table is printed.
  std::string command;         ///< The command line, for the report.
};

/// Nothing where all is said: --help, --version, or a sentence about what cannot be read; `status` is then
/// the program's.
std::optional<BenchOptions> read_options(int argc, char** argv, const std::string& commit, int& status);

}  // namespace onepass::bench
