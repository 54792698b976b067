// options.cpp - reads the command line.
#include "bench/options.hpp"

#include <fmt/format.h>

#include <CLI/CLI.hpp>
#include <algorithm>
#include <cmath>

namespace onepass::bench {
namespace {

/// Options as written on the command line.
struct Texts {
  std::vector<std::string> rules, formats, layouts, sizes, isas;
  std::string device = "cpu", caches = "hot";
  double gibibytes = 0.0;
  double rest_milliseconds = 0.0;
  bool quick = false;
  bool no_baselines = false;
};

template <class Choice>
std::string names(std::span<const Choice> choices) {
  std::string all;
  for (const Choice& one : choices) all.append(all.empty() ? "" : ", ").append(one.name);
  return all;
}

/// Returns the choices that `texts` names, or all choices if it is empty.
template <class Choice>
std::vector<const Choice*> chosen(const char* option, const std::vector<std::string>& texts,
                                  std::span<const Choice> choices) {
  std::vector<const Choice*> found;
  for (const Choice& one : choices) {
    if (texts.empty() || std::ranges::find(texts, one.name) != texts.end()) found.push_back(&one);
  }
  for (const std::string& text : texts) {
    if (std::ranges::find(choices, text, &Choice::name) == choices.end()) {
      throw CLI::ValidationError(option,
                                 fmt::format("unknown value {}; choose from {}", text, names(choices)));
    }
  }
  return found;
}

/// "1e6", "1000000"
std::int64_t read_size(const std::string& text) {
  std::size_t used = 0;
  double size = 0.0;
  try {
    size = std::stod(text, &used);
  } catch (const std::logic_error&) {
    used = 0;
  }
  if (used != text.size() || used == 0 || size < 1.0 || size > 1e12 || size != std::floor(size)) {
    throw CLI::ValidationError("--size", fmt::format("{} is not a whole number from 1 to 1e12", text));
  }
  return static_cast<std::int64_t>(size);
}

std::vector<Isa> available() {
  std::vector<Isa> there;
  for (const Isa isa : {Isa::avx512_bf16, Isa::avx512, Isa::avx2, Isa::baseline}) {
    if (isa_available(isa)) there.push_back(isa);
  }
  return there;
}

std::vector<Isa> read_isas(const std::vector<std::string>& texts) {
  std::vector<Isa> isas;
  for (const std::string& text : texts) {
    if (text == "best") {
      isas.push_back(best_isa());
      continue;
    }
    const std::vector<Isa> there = available();
    const auto found = std::ranges::find_if(
        there, [&](Isa isa) { return onepass::to_string(isa) == std::string_view(text); });
    if (found == there.end())
      throw CLI::ValidationError("--isa", "this machine or build does not support " + text);
    isas.push_back(*found);
  }
  return isas;
}

Device read_device(const std::string& text) {
  if (text == "cpu") return Device::cpu();
  if (!text.starts_with("cuda:") || text.size() < 6 ||
      text.find_first_not_of("0123456789", 5) != std::string::npos) {
    throw CLI::ValidationError("--device", text + " is neither cpu nor cuda:0, cuda:1 and so on");
  }
  return Device::cuda(std::stoi(text.substr(5)));
}

void add_filters(CLI::App& app, Texts& texts, BenchOptions& options) {
  const auto list = [&](const char* name, auto& target, const std::string& help) {
    app.add_option(name, target, help)->delimiter(',');
  };
  list("--rule", texts.rules, "Rules to measure: " + names(rule_choices()) + ". Default: all");
  list("--format", texts.formats,
       "Storage formats to measure: " + names(format_choices()) + ". Default: all");
  list("--layout", texts.layouts,
       "Tensor layouts: flat, resnet50, gpt2, llama8b (as many layers as fit), llama8b_2layers, or tensors x "
       "elements as in 2000x1000. Default: flat, the models, 2000x1000 and 1000x1000; only flat with --size");
  list("--size", texts.sizes, "Numbers of parameters of the flat layout. Default: 1e4,1e6,1e8,1e9");
  list("--threads", options.threads, "Numbers of CPU threads. Default: 1,2");
  list("--isa", texts.isas, "Instruction sets: best, avx512_bf16, avx512, avx2, baseline. Default: best");
  app.add_option("--device", texts.device, "Device to measure: cpu or cuda:N. Default: cpu");
}

void add_sampling(CLI::App& app, Texts& texts, BenchOptions& options) {
  app.add_option(
         "--caches", texts.caches,
         "State of the caches before a sample. hot: as the previous step leaves them. cold: emptied; "
         "a sample is then one step. Models of more than four times the last-level cache are measured "
         "without emptying. both: hot and cold. Default: hot")
      ->check(CLI::IsMember({"hot", "cold", "both"}));
  auto* const rest = app.add_option("--rest", texts.rest_milliseconds,
                                    "Milliseconds of rest before each sample, so that the threads fall "
                                    "asleep. A sample is then --burst steps in a row; caches are not emptied")
                         ->check(CLI::Range(0.2, 1e4))
                         ->excludes("--caches");
  app.add_option("--burst", options.burst, "Steps in a sample after a --rest. Default: 1")
      ->check(CLI::Range(1, 1000000))
      ->needs(rest);
  app.add_option("--rounds", options.rounds,
                 "Samples of each contestant. Default: 31 up to 2e6 parameters, else 15")
      ->check(CLI::Range(1, 100000));
  app.add_option("--patience", options.patience,
                 "Longest wait for a quiet machine before a sample, in seconds. Default: 0.02")
      ->check(CLI::Range(0.0, 3600.0));
  app.add_option("--memory", texts.gibibytes,
                 "Most GiB of device memory to use. Default: half of the free memory")
      ->check(CLI::Range(0.01, 1e5));
  app.add_flag(
      "--clip", options.clips,
      "Steps also measure the norm of the gradients, without clipping any. The times of limit and copy "
      "are scaled to equal bytes");
  app.add_flag("--graph", options.graph, "Also times a captured step, on CUDA");
  app.add_flag("--no-baselines", texts.no_baselines, "Skips the scalar loop and the unfused step");
  app.add_flag("--quick", texts.quick, "Checks every rule, format and instruction set; times are rough");
  app.add_option("--json", options.json, "File for all measured values");
  app.add_option("--markdown", options.markdown, "File for the table. Default: the standard output");
}

std::vector<std::string> usual_layouts(const Texts& texts) {
  if (texts.quick) return {"flat", "50x100"};
  if (!texts.sizes.empty()) return {"flat"};
  return {"flat", "resnet50", "gpt2", "llama8b", "2000x1000", "1000x1000"};
}

void complete(BenchOptions& options, const Texts& texts) {
  const auto or_else = [](std::vector<std::string> given, std::vector<std::string> usual) {
    return given.empty() ? usual : given;
  };
  options.rules = chosen("--rule", texts.rules, rule_choices());
  options.formats = chosen("--format", texts.formats, format_choices());
  options.layouts = or_else(texts.layouts, usual_layouts(texts));
  for (const std::string& text :
       or_else(texts.sizes, texts.quick ? std::vector<std::string>{"20001"}
                                        : std::vector<std::string>{"1e4", "1e6", "1e8", "1e9"})) {
    options.sizes.push_back(read_size(text));
  }
  if (options.threads.empty()) options.threads = {1, 2};
  if (std::ranges::any_of(options.threads, [](int threads) { return threads < 1 || threads > 1024; })) {
    throw CLI::ValidationError("--threads", "each value must be from 1 to 1024");
  }
  options.isas = texts.quick && texts.isas.empty() ? available() : read_isas(or_else(texts.isas, {"best"}));
  options.device = read_device(texts.device);
  options.memory = texts.gibibytes * 0x1p30;
  options.hot = texts.caches != "cold";
  options.cold = texts.caches != "hot";
  options.rest = texts.rest_milliseconds * 1e-3;
  options.baselines = !texts.no_baselines;
  if (!texts.quick) return;
  if (options.rounds == 0) options.rounds = 1;
  options.best_of = 1;
  options.seconds = 1e-6;
  options.patience = 0.0;
}

}  // namespace

std::optional<BenchOptions> read_options(int argc, char** argv, const std::string& commit, int& status) {
  CLI::App app{
      "Times a step of onepass against a loop that only moves the same bytes, a copy, a scalar loop and an "
      "unfused step. Checks the results of all of them first."};
  app.set_version_flag("--version", commit, "Prints the commit that this program was built from");
  Texts texts;
  BenchOptions options;
  for (int i = 0; i < argc; ++i)
    options.command.append(i == 0 ? "" : " ").append(i == 0 ? "onepass_bench" : argv[i]);
  add_filters(app, texts, options);
  add_sampling(app, texts, options);
  try {
    app.parse(argc, argv);
    complete(options, texts);
  } catch (const CLI::ParseError& error) {
    status = app.exit(error);
    return std::nullopt;
  }
  return options;
}

}  // namespace onepass::bench
