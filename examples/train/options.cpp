// options.cpp - reads the command line and checks every value, with our own error messages.
#include "options.hpp"

#include <fmt/format.h>

#include <CLI/CLI.hpp>
#include <algorithm>
#include <iterator>
#include <span>

#include "errors.hpp"
#include "text.hpp"
#include "training/optimizer.hpp"

namespace train {
namespace {

DeviceChoice read_device(const std::string& text) {
  static const std::vector<Choice> choices{{"auto", ""}, {"cpu", ""}, {"cuda", ""}};
  return static_cast<DeviceChoice>(read_choice("--device", text, choices));
}

/// An option and the placeholder of its value in --help.
struct Named {
  std::string option;
  std::string value;
};

/// Adds an option whose value is passed to `read`.
template <class Read>
CLI::Option* add(CLI::App& app, const Named& named, Read read, const std::string& help) {
  return app.add_option_function<std::string>(named.option, read, help)
      ->type_name(named.value)
      ->multi_option_policy(CLI::MultiOptionPolicy::Throw);
}

std::string help_of(const Setting& setting) {
  const std::string usual = setting.write(Settings{});
  return usual.empty() ? setting.help : fmt::format("{}. Default: {}", setting.help, usual);
}

/// Adds an option for each setting. Reads every value once, so that a bad value is refused during parsing.
void add_settings(CLI::App& app, Changes& changes) {
  for (const Setting& setting : setting_table()) {
    CLI::Option* const option = add(
        app, {setting.option, std::string(setting.value)},
        [&setting, &changes](const std::string& text) {
          Settings tried;
          setting.read(tried, text);
          changes.push_back({&setting, text});
        },
        help_of(setting));
    if (!setting.heading.empty()) option->group(std::string(setting.heading));
  }
}

void add_length(CLI::App& app, CommandLine& options) {
  add(
      app, {"--epochs", "N"},
      [&](const std::string& text) {
        options.epochs = read_whole("--epochs", text, {1, 1000000});
      },
      "Number of passes over the training images. Default: 5");
  add(
      app, {"--steps", "N"}, [&](const std::string& text) { options.steps = read_whole("--steps", text); },
      "Stop after this many steps, if that is sooner");
}

void add_machine(CLI::App& app, CommandLine& options) {
  add(
      app, {"--device", "NAME"}, [&](const std::string& text) { options.device = read_device(text); },
      "auto, cpu or cuda. Default: auto, which is cuda if there is a GPU");
  add(
      app, {"--threads", "N"},
      [&](const std::string& text) {
        options.threads = static_cast<int>(read_whole("--threads", text, {1, 1024}));
      },
      "Number of CPU threads. Default: all");
}

void add_files(CLI::App& app, CommandLine& options) {
  const auto path = [&](const Named& named, std::filesystem::path& target, const std::string& help) {
    add(
        app, named,
        [option = named.option, wanted = named.value == "FOLDER" ? "a folder" : "a file",
         &target](const std::string& text) {
          if (text.empty()) reject(option, wanted, text);
          target = text;
        },
        help);
  };
  path({"--data", "FOLDER"}, options.data,
       fmt::format("Folder with the IDX files. Default: {}", kDefaultData));
  path({"--csv", "FILE"}, options.csv, "Write loss and learning rate of each step to this file");
  path({"--plot", "FILE"}, options.plot, "Draw loss, accuracy and learning rate into this file, as SVG");
  path({"--save", "FILE"}, options.save, "Write the run to this file at the end");
  path({"--resume", "FILE"}, options.resume,
       "Continue a saved run for another --epochs; settings that are not given come from the file");
}

/// Calls `parse` and turns CLI11's errors into UsageError with our own messages.
template <class Parse>
void with_own_messages(const CLI::App& app, Parse parse) {
  try {
    parse();
  } catch (const CLI::CallForHelp&) {
    throw;
  } catch (const CLI::ExtrasError& error) {
    throw UsageError(fmt::format("{} is not an option; see --help",
                                 app.remaining().empty() ? error.what() : app.remaining().front()));
  } catch (const CLI::ParseError& error) {
    throw UsageError(fmt::format("{}; see --help", error.what()));
  }
}

/// Calls `work`, and adds the label of a configuration to the message of its UsageError.
template <class Work>
void in_configuration(const Configuration& configuration, Work work) {
  try {
    work();
  } catch (const UsageError& error) {
    throw UsageError(fmt::format("--compare, in '{}': {}", configuration.label, error.what()));
  }
}

/// Reads a configuration of --compare: "LABEL: --option value ...", or the name of an optimizer.
Configuration read_configuration(const std::string& text) {
  const std::size_t colon = text.find(':');
  if (colon == std::string::npos) {
    if (const OptimizerKind* kind = find_kind(trim(text))) {
      return {std::string(kind->title), {{find_setting("--optimizer"), std::string(kind->name)}}};
    }
  }
  Configuration configuration{.label = trim(std::string_view(text).substr(0, std::min(colon, text.size()))),
                              .changes = {}};
  if (colon == std::string::npos || configuration.label.empty()) {
    reject("--compare", "the names of optimizers or of the form 'LABEL: --option value ...'", text);
  }
  CLI::App app;
  app.set_help_flag();
  add_settings(app, configuration.changes);
  std::vector<std::string> words = split_words(std::string_view(text).substr(colon + 1));
  std::ranges::reverse(words);  // CLI11 takes them from the end
  in_configuration(configuration, [&] { with_own_messages(app, [&] { app.parse(words); }); });
  return configuration;
}

/// Returns whether --compare is followed by an empty text. CLI11 also gives one if nothing follows.
bool compares_nothing(std::span<const char* const> arguments) {
  const auto is_option = [](std::string_view argument) { return argument == "--compare"; };
  const auto option = std::ranges::find_if(arguments, is_option);
  if (option == arguments.end()) return std::ranges::count(arguments, std::string_view("--compare=")) > 0;
  return option + 1 != arguments.end() && std::string_view(option[1]).empty();
}

std::vector<Configuration> read_configurations(const std::vector<std::string>& texts, bool is_empty) {
  std::vector<Configuration> configurations;
  const bool is_default = texts.size() == 1 && texts.front().empty() && !is_empty;
  if (!is_default) {
    for (const std::string& text : texts) configurations.push_back(read_configuration(text));
  } else {
    for (const std::string_view name : compared_kinds()) {
      configurations.push_back(read_configuration(std::string(name)));
    }
  }
  for (auto one = configurations.begin(); one != configurations.end(); ++one) {
    if (std::any_of(configurations.begin(), one,
                    [&](const auto& other) { return other.label == one->label; })) {
      throw UsageError(fmt::format("--compare has two configurations named '{}'", one->label));
    }
  }
  return configurations;
}

/// Refuses options that --compare would ignore.
void check_together(const CommandLine& options) {
  if (options.configurations.empty()) return;
  if (!options.save.empty()) throw UsageError("--save cannot be used with --compare");
  if (!options.resume.empty()) throw UsageError("--resume cannot be used with --compare");
  for (const Change& change : options.changes) {
    if (changed_by_all(options.configurations, *change.setting)) {
      throw UsageError(fmt::format("{} has no effect here: every configuration of --compare has its own",
                                   change.setting->option));
    }
  }
}

/// Refuses hyperparameters that an optimizer does not have or that are out of range, before the data is
/// loaded. The optimizer of a resumed run is in its file.
void check_hyperparameters(const CommandLine& options) {
  if (!options.resume.empty()) return;
  Settings common;
  apply(options.changes, common);
  if (options.configurations.empty()) make_rule(common);
  for (const Configuration& one : options.configurations) {
    Settings settings = common;
    apply(one.changes, settings);
    in_configuration(one, [&] { make_rule(settings); });
  }
}

/// Returns the text of --list: the choices of every option that takes a name.
std::string list_choices() {
  std::string text;
  const auto out = std::back_inserter(text);
  for (const Setting& setting : setting_table()) {
    if (setting.choices.empty()) continue;
    fmt::format_to(out, "{}{}\n", text.empty() ? "" : "\n", setting.option);
    for (const Choice& choice : setting.choices) {
      fmt::format_to(out, "  {}\n", trim(fmt::format("{:<18} {}", choice.name, choice.meaning)));
    }
  }
  return text;
}

}  // namespace

bool changed_by_all(const std::vector<Configuration>& configurations, const Setting& setting) {
  return std::ranges::all_of(configurations, [&](const Configuration& one) {
    return std::ranges::count(one.changes, &setting, &Change::setting) > 0;
  });
}

Parsed parse_command_line(int argc, const char* const* argv) {
  Parsed parsed;
  CommandLine& options = parsed.options;
  bool list = false;
  CLI::App app{"Trains a multilayer perceptron on Fashion-MNIST; onepass makes every update.",
               "onepass-train"};
  add_settings(app, options.changes);
  add_length(app, options);
  app.add_option_function<std::vector<std::string>>(
         "--compare",
         [&](const std::vector<std::string>& texts) {
           options.configurations = read_configurations(texts, compares_nothing({argv, argv + argc}));
         },
         "Train several runs, with the same initial weights and batches unless they say otherwise: names of "
         "optimizers, or 'LABEL: --option value ...', which may change any of the options above from "
         "--optimizer to --seed, and hyperparameters. Default: sgd momentum rmsprop adam adamw")
      ->type_name("RUN")
      ->expected(0, CLI::detail::expected_max_vector_size);
  add_machine(app, options);
  add_files(app, options);
  app.add_flag("--list", list, "Print the choices of every option that takes a name");
  try {
    with_own_messages(app, [&] { app.parse(argc, argv); });
  } catch (const CLI::CallForHelp&) {
    parsed.text = app.help();
    return parsed;
  }
  if (list) {
    parsed.text = list_choices();
    return parsed;
  }
  check_together(options);
  check_hyperparameters(options);
  return parsed;
}

}  // namespace train
