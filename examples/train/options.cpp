// options.cpp - reads the command line; every value is checked here, with a sentence of our own.
#include "options.hpp"

#include <fmt/format.h>

#include <CLI/CLI.hpp>
#include <charconv>
#include <cmath>
#include <limits>
#include <map>

#include "errors.hpp"
#include "training/optimizer.hpp"

namespace train {
namespace {

constexpr std::int64_t kLargest = std::int64_t{1} << 31;
constexpr std::int64_t kWidestLayer = 65536;

template <class T>
std::optional<T> number(const std::string& text) {
  T value{};
  const auto [end, error] = std::from_chars(text.data(), text.data() + text.size(), value);
  if (error != std::errc{} || end != text.data() + text.size()) return std::nullopt;
  return value;
}

[[noreturn]] void reject(const std::string& option, const std::string& wanted, const std::string& text) {
  throw UsageError(fmt::format("{} must be {}, but is '{}'", option, wanted, text));
}

struct Bounds {
  std::int64_t low, high;
};

std::int64_t whole(const std::string& option, const std::string& text, Bounds bounds) {
  const std::optional<std::int64_t> value = number<std::int64_t>(text);
  if (!value || *value < bounds.low || *value > bounds.high) {
    reject(option, fmt::format("a whole number from {} to {}", bounds.low, bounds.high), text);
  }
  return *value;
}

double rate(const std::string& option, const std::string& text) {
  const std::optional<double> value = number<double>(text);
  if (!value || !std::isfinite(*value) || *value < 0.0) reject(option, "a number that is not negative", text);
  return *value;
}

std::int64_t batch_size(const std::string& text) {
  if (text == "full") return 0;
  const std::optional<std::int64_t> value = number<std::int64_t>(text);
  if (!value || *value < 1 || *value > kLargest)
    reject("--batch-size", "'full' or a whole number from 1", text);
  return *value;
}

std::vector<std::int64_t> widths(const std::string& text) {
  std::vector<std::int64_t> widths;
  for (std::size_t begin = 0; begin <= text.size();) {
    const std::size_t end = std::min(text.find(',', begin), text.size());
    const std::optional<std::int64_t> width = number<std::int64_t>(text.substr(begin, end - begin));
    if (!width || *width < 1 || *width > kWidestLayer) {
      reject("--hidden",
             fmt::format("widths from 1 to {} with commas between them, such as 256,128", kWidestLayer),
             text);
    }
    widths.push_back(*width);
    begin = end + 1;
  }
  return widths;
}

DeviceChoice device(const std::string& text) {
  static const std::map<std::string, DeviceChoice> choices{
      {"auto", DeviceChoice::automatic}, {"cpu", DeviceChoice::cpu}, {"cuda", DeviceChoice::cuda}};
  const auto found = choices.find(text);
  if (found == choices.end()) reject("--device", "auto, cpu or cuda", text);
  return found->second;
}

std::string kind_names() {
  std::string names;
  for (const OptimizerKind& kind : optimizer_kinds()) {
    names += fmt::format("{}{}", names.empty() ? "" : ", ", kind.name);
  }
  return names;
}

/// An option and what stands for its value in --help.
struct Named {
  const char* option;
  const char* value;
};

/// Adds an option whose text `read` turns into a value of `target`.
template <class Target, class Read>
void add(CLI::App& app, Named named, Target& target, Read read, const std::string& help) {
  app.add_option_function<std::string>(
         named.option, [&target, read](const std::string& text) { target = read(text); }, help)
      ->type_name(named.value)
      ->multi_option_policy(CLI::MultiOptionPolicy::Throw);
}

void add_training_options(CLI::App& app, CommandLine& options) {
  add(
      app, {"--optimizer", "NAME"}, options.optimizer,
      [](const std::string& text) { return std::string(find_kind(text).name); },
      fmt::format("{}. Default: adamw", kind_names()));
  add(
      app, {"--epochs", "N"}, options.epochs,
      [](const std::string& text) {
        return whole("--epochs", text, {1, 1000000});
      },
      "How many times to go through the images. Default: 5");
  add(
      app, {"--steps", "N"}, options.steps,
      [](const std::string& text) {
        return whole("--steps", text, {1, kLargest});
      },
      "Stop after so many steps, if that is sooner");
  add(app, {"--batch-size", "N|full"}, options.batch_size, batch_size,
      "Images in a step: 1, any number, or full. Default: 64");
  add(app, {"--hidden", "N,N,.."}, options.hidden, widths, "Widths of the hidden layers. Default: 256,128");
  add(
      app, {"--lr", "RATE"}, options.lr, [](const std::string& text) { return rate("--lr", text); },
      "Learning rate. Default: one that suits the optimizer and the batch size");
  add(
      app, {"--weight-decay", "RATE"}, options.weight_decay,
      [](const std::string& text) { return rate("--weight-decay", text); },
      "Default: 0.01 for adamw, 0 for the others");
  add(
      app, {"--seed", "N"}, options.seed,
      [](const std::string& text) {
        return static_cast<std::uint64_t>(
            whole("--seed", text, {0, std::numeric_limits<std::int64_t>::max()}));
      },
      "Of the first weights and of the order of the images. Default: 1");
}

void add_other_options(CLI::App& app, CommandLine& options) {
  const auto path = [](const std::string& text) { return std::filesystem::path(text); };
  app.add_flag("--compare", options.compare,
               "sgd, momentum, rmsprop, adam and adamw in turn, with the same first weights and batches");
  add(app, {"--device", "NAME"}, options.device, device,
      "auto, cpu or cuda. Default: auto, cuda where there is a GPU");
  add(
      app, {"--threads", "N"}, options.threads,
      [](const std::string& text) {
        return static_cast<int>(whole("--threads", text, {1, 1024}));
      },
      "Of the CPU. Default: all");
  add(app, {"--data", "FOLDER"}, options.data, path,
      fmt::format("Folder of the IDX files. Default: {}", kDefaultData));
  add(app, {"--csv", "FILE"}, options.csv, path, "Write the loss of each step to this file");
  add(app, {"--plot", "FILE"}, options.plot, path, "Write a picture of the loss to this file, as SVG");
  add(app, {"--save", "FILE"}, options.save, path, "At the end write the run to this file");
  add(app, {"--resume", "FILE"}, options.resume, path,
      "Continue a saved run for another --epochs; what is not given is as in the file");
}

void check_together(const CommandLine& options) {
  if (!options.compare) return;
  const auto refuse = [](bool given, const char* name) {
    if (given) throw UsageError(fmt::format("{} cannot be used with --compare", name));
  };
  refuse(options.optimizer.has_value(), "--optimizer");
  refuse(options.lr.has_value(), "--lr");
  refuse(options.weight_decay.has_value(), "--weight-decay");
  refuse(!options.save.empty(), "--save");
  refuse(!options.resume.empty(), "--resume");
}

}  // namespace

Parsed parse_command_line(int argc, const char* const* argv) {
  Parsed parsed;
  CLI::App app{"Trains a multilayer perceptron on Fashion-MNIST; onepass makes every update.",
               "onepass-train"};
  add_training_options(app, parsed.options);
  add_other_options(app, parsed.options);
  try {
    app.parse(argc, argv);
  } catch (const CLI::CallForHelp&) {
    parsed.text = app.help();
    return parsed;
  } catch (const CLI::ExtrasError& error) {
    throw UsageError(fmt::format("{} is not an option; see --help",
                                 app.remaining().empty() ? error.what() : app.remaining().front()));
  } catch (const CLI::ParseError& error) {
    throw UsageError(fmt::format("{}; see --help", error.what()));
  }
  check_together(parsed.options);
  return parsed;
}

}  // namespace train
