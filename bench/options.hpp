// options.hpp - the options of the command line.
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
  std::vector<std::int64_t> sizes;   ///< Numbers of parameters of "flat".
  std::vector<int> threads;
  std::vector<Isa> isas;  ///< Never Isa::best.
  Device device = Device::cpu();
  int rounds = 0;          ///< 0: 31 up to 2e6 parameters, else 15.
  double seconds = 1e-3;   ///< Shortest duration of a sample: shorter work is repeated.
  double patience = 0.02;  ///< Longest wait for a quiet machine before a sample, in seconds.
  int best_of = 5;         ///< Up to 2e6 parameters a sample is the shortest of this many.
  double memory = 0.0;     ///< Bytes that a batch may use. 0: half of the free memory.
  bool hot = true;         ///< Takes samples with the caches as the previous step leaves them.
  bool cold = false;       ///< Takes samples with emptied caches, unless the streams outgrow the caches.
  double rest = 0.0;       ///< Seconds of sleep before each sample; replaces `hot` and `cold`. 0: no sleep.
  int burst = 1;           ///< Steps in a sample after a rest.
  bool clips = false;      ///< Steps measure the norm of the gradients.
  bool graph = false;      ///< Also times a captured step if the device can capture.
  bool baselines = true;
  std::string json, markdown;  ///< Paths; empty for no file. Without `markdown` the table is printed.
  std::string command;         ///< The command line, for the report.
};

/// Reads the command line. Returns nothing if the program is to exit: after --help, after --version or after
/// printing an error. `status` is then the exit status.
std::optional<BenchOptions> read_options(int argc, char** argv, const std::string& commit, int& status);

}  // namespace onepass::bench
