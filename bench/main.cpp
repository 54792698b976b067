// main.cpp - onepass_bench: measures the share of memory bandwidth that a step reaches, by rule and format.
#include <fmt/chrono.h>
#include <fmt/format.h>

#include <algorithm>
#include <cstdio>
#include <ctime>
#include <exception>
#include <fstream>
#include <iterator>
#include <memory>
#include <stdexcept>

#include "bench/measure.hpp"
#include "bench/report/report.hpp"

namespace onepass::bench {
namespace {

std::unique_ptr<Machine> machine_of(const BenchOptions& options) {
  if (!options.device.is_cuda()) return cpu_machine();
#ifdef ONEPASS_BENCH_CUDA
  return cuda_machine(options.device);
#else
  throw std::runtime_error("onepass_bench: --device " + to_string(options.device) +
                           ": this program was built without CUDA");
#endif
}

void write(const std::string& path, const std::string& text) {
  std::ofstream file(path);
  file << text;
  file.close();
  if (!file) throw std::runtime_error("onepass_bench: cannot write " + path);
}

/// Bytes that cases may use: the memory limit less the memory that emptying the caches needs.
double memory_for_cases(const BenchOptions& options, const Machine& machine) {
  const double all = options.memory > 0.0 ? options.memory : machine.free_bytes() / 2.0;
  if (!options.cold) return all;
  return std::max(all - machine.emptying_bytes(std::ranges::max(options.threads)), 0.0);
}

Run nothing_yet(const BenchOptions& options, const Machine& machine) {
  return {.machine = machine.name(),
          .compiler = "gcc " __VERSION__,
          .commit = ONEPASS_BENCH_COMMIT,
          .date = fmt::format("{:%F}", fmt::gmtime(std::time(nullptr))),
          .command = options.command};
}

void write_files(const BenchOptions& options, const Run& run) {
  if (!options.json.empty()) write(options.json, to_json(run));
  if (!options.markdown.empty()) write(options.markdown, to_markdown(run));
}

/// Writes the files after each batch, so that a later crash loses no measurement. A batch that fails becomes
/// a sentence in the report.
Run measure_all(BenchOptions options) {
  const std::unique_ptr<Machine> machine = machine_of(options);
  options.memory = memory_for_cases(options, *machine);
  const Plan plan = make_plan(options);
  Run run = nothing_yet(options, *machine);
  run.left_out = plan.left_out;
  int samples = 0, disturbed = 0;
  for (std::size_t i = 0; i < plan.batches.size(); ++i) {
    const Batch& batch = plan.batches[i];
    const std::string first = batch.entries.front().measured.text();
    fmt::print(stderr, "Batch {}/{}: {} and {} more\n", i + 1, plan.batches.size(), first,
               batch.entries.size() - 1);
    try {
      Measured measured = measure(*machine, batch, options);
      std::ranges::move(measured.rows, std::back_inserter(run.rows));
      samples += measured.samples;
      disturbed += measured.disturbed;
    } catch (const std::exception& error) {
      run.failed.push_back(fmt::format("{} and {} more: {}", first, batch.entries.size() - 1, error.what()));
    }
    run.disturbed = samples == 0 ? 0.0 : static_cast<double>(disturbed) / samples;
    write_files(options, run);
  }
  return run;
}

int run(int argc, char** argv) {
  int status = 0;
  const std::optional<BenchOptions> options = read_options(argc, argv, ONEPASS_BENCH_COMMIT, status);
  if (!options) return status;
  const Run measured = measure_all(*options);
  write_files(*options, measured);
  if (options->markdown.empty()) fmt::print("{}", to_markdown(measured));
  for (const std::string& sentence : measured.left_out) fmt::print(stderr, "Left out: {}\n", sentence);
  for (const std::string& sentence : measured.failed) fmt::print(stderr, "Failed: {}\n", sentence);
  return measured.failed.empty() ? 0 : 1;
}

}  // namespace
}  // namespace onepass::bench

int main(int argc, char** argv) {
  try {
    return onepass::bench::run(argc, argv);
  } catch (const std::exception& error) {
    std::fprintf(stderr, "%s\n", error.what());
    return 1;
  }
}
