// program.cpp - carries out the runs of one command: loads the data, trains, writes the table and the files.
#include "program.hpp"

#include <fmt/format.h>

#include <algorithm>
#include <memory>

#include "errors.hpp"
#include "report/progress.hpp"
#include "report/report.hpp"
#include "text.hpp"
#include "training/schedule.hpp"
#include "training/trainer.hpp"

namespace train {
namespace {

constexpr std::int64_t kDefaultEpochs = 5;

onepass::Device choose_device(DeviceChoice choice) {
  if (choice == DeviceChoice::cpu) return onepass::Device::cpu();
  if (onepass::cuda_available()) return onepass::Device::cuda();
  if (choice == DeviceChoice::cuda) throw UsageError("--device cuda: there is no CUDA device here");
  return onepass::Device::cpu();
}

std::unique_ptr<Backend> make_backend(onepass::Device device, int threads) {
#ifdef ONEPASS_TRAIN_CUDA
  if (device.is_cuda()) return make_cuda_backend(device.index());
#endif
  if (device.is_cuda()) throw UsageError("--device cuda: this program was built without CUDA");
  return make_cpu_backend(threads);
}

/// Describes the device, as in "CPU (avx2), 2 threads".
std::string describe(onepass::Device device, int threads) {
  if (device.is_cuda()) return onepass::device_name(device);
  return fmt::format("CPU ({}), {} thread{}", onepass::to_string(onepass::best_isa()), threads,
                     threads == 1 ? "" : "s");
}

/// Refuses output files in folders that do not exist, before the training rather than after it.
void check_outputs(const CommandLine& options) {
  for (const std::filesystem::path* path : {&options.csv, &options.plot, &options.save}) {
    const std::filesystem::path folder = path->parent_path();
    if (!folder.empty() && !std::filesystem::is_directory(folder)) {
      throw UsageError(
          fmt::format("{} cannot be written: there is no folder {}", path->string(), folder.string()));
    }
  }
}

std::int64_t steps_to_take(const CommandLine& options, std::int64_t steps_per_epoch) {
  const std::int64_t epochs = options.epochs.value_or(kDefaultEpochs) * steps_per_epoch;
  if (!options.steps) return epochs;
  return options.epochs ? std::min(*options.steps, epochs) : *options.steps;
}

/// Resolves settings and sets the length of the schedule to this run's, unless it was given.
Settings plan(const CommandLine& options, const Settings& settings, std::int64_t images) {
  Settings planned = resolve(settings, images);
  if (!is_constant(planned) && !planned.schedule_steps) {
    planned.schedule_steps = steps_to_take(options, steps_per_epoch(planned, images));
  }
  return planned;
}

/// Returns the parts of a picture's subtitle. A part is shown only if it is the same for all runs.
std::vector<std::string> facts(const Trainer& trainer) {
  const Settings& settings = trainer.settings();
  return {fmt::format("perceptron {}", write_widths(trainer.network().shape().widths, "-")),
          find_setting("--activation")->write(settings), std::string(find_kind(settings.optimizer)->title),
          settings.precision,
          settings.accumulate > 1
              ? fmt::format("{} batches of {} a step", settings.accumulate, settings.batch_size)
          : trainer.steps_per_epoch() == 1 ? std::string("all images at once")
                                           : fmt::format("batches of {}", settings.batch_size)};
}

/// Writes changes as on the command line: "--optimizer sgd --lr 0.1".
std::string text_of(const Changes& changes) {
  std::vector<std::string> words;
  for (const Change& change : changes)
    words.push_back(fmt::format("{} {}", change.setting->option, change.text));
  return fmt::format("{}", fmt::join(words, " "));
}

/// The runs of one command, with the data and the backend that they share.
class Program {
 public:
  explicit Program(const CommandLine& options)
      : options_(options),
        device_(choose_device(options.device)),
        threads_(options.threads > 0 ? options.threads : onepass::cpu_threads()),
        data_(load_dataset(options.data)),
        backend_(make_backend(device_, threads_)),
        images_{upload(*backend_, data_.training, data_.normalisation),
                upload(*backend_, data_.test, data_.normalisation)} {}

  void train_one() {
    std::unique_ptr<Checkpoint> saved;
    if (!options_.resume.empty()) saved = std::make_unique<Checkpoint>(load_checkpoint(options_.resume));
    Settings settings = saved ? load_settings(saved->settings) : Settings{};
    apply(options_.changes, settings);
    Trainer trainer(*backend_, images_, plan(options_, settings, images_.training.count),
                    optimizer_options());
    if (saved) trainer.restore(*saved);
    introduce();
    fmt::print("network    {}, {} parameters, {} step{} an epoch\n",
               write_widths(trainer.network().shape().widths, "-"), trainer.network().parameter_count(),
               trainer.steps_per_epoch(), trainer.steps_per_epoch() == 1 ? "" : "s");
    fmt::print("settings   {}\n", text_of(all_settings(trainer.settings())));
    fmt::print("memory     {}\n", memory_text(trainer.memory(), trainer.network().parameter_count()));
    if (saved) fmt::print("continued  after step {}\n", trainer.step_count());
    fmt::print("\n");
    take_steps(trainer, std::string(find_kind(settings.optimizer)->title));
    report();
    const History& history = runs_.front().history;
    if (history.divergence) {
      throw Failure(fmt::format("{} with --lr {} has {}; try a smaller rate, --clip or --warmup",
                                runs_.front().label, runs_.front().lr, train::describe(*history.divergence)));
    }
    // 17 digits distinguish any two doubles, so two runs can be compared by this line.
    fmt::print("loss of the last step: {:.17g}\n", history.losses.back());
    if (options_.save.empty()) return;
    save_checkpoint(trainer.checkpoint(), options_.save);
    fmt::print("the run is saved in {}\n", options_.save.string());
  }

  void compare() {
    Settings common;
    apply(options_.changes, common);
    introduce();
    Changes shared = all_settings(common);
    std::erase_if(shared,
                  [&](const Change& one) { return changed_by_all(options_.configurations, *one.setting); });
    fmt::print("settings   {}, and\n", text_of(shared));
    for (const Configuration& one : options_.configurations) {
      label_width_ = std::max(label_width_, one.label.size());
    }
    for (const Configuration& one : options_.configurations) {
      fmt::print("  {:<{}} {}\n", one.label, label_width_, text_of(one.changes));
    }
    fmt::print("\n");
    for (const Configuration& configuration : options_.configurations) {
      Settings settings = common;
      apply(configuration.changes, settings);
      Trainer trainer(*backend_, images_, plan(options_, settings, images_.training.count),
                      optimizer_options());
      take_steps(trainer, configuration.label);
    }
    report();
  }

 private:
  [[nodiscard]] onepass::Options optimizer_options() const { return {.threads = threads_}; }

  void introduce() const {
    fmt::print("data       {} training and {} test images\n", images_.training.count, images_.test.count);
    fmt::print("device     {}\n", describe(device_, threads_));
  }

  void take_steps(Trainer& trainer, const std::string& label) {
    const std::int64_t steps = steps_to_take(options_, trainer.steps_per_epoch());
    Progress progress({.title = label,
                       .title_width = label_width_,
                       .first_step = trainer.step_count(),
                       .last_step = trainer.step_count() + steps,
                       .steps_per_epoch = trainer.steps_per_epoch()});
    runs_.push_back(
        {.label = label,
         .lr = *trainer.settings().lr,
         .bytes_per_parameter = bytes_per_parameter(trainer.memory(), trainer.network().parameter_count()),
         .history = trainer.run(steps, progress.listener()),
         .steps_per_epoch = trainer.steps_per_epoch()});
    facts_.push_back(facts(trainer));
  }

  /// Writes the table, the CSV file and the picture.
  void report() const {
    fmt::print("\n{}", table(runs_, device_.is_cuda() ? "by CUDA events" : "by the wall clock"));
    if (!options_.csv.empty()) write_csv(runs_, options_.csv);
    if (!options_.plot.empty()) write_plot(runs_, subtitle(), options_.plot);
  }

  [[nodiscard]] std::string subtitle() const {
    std::vector<std::string> shared;
    for (std::size_t i = 0; i < facts_.front().size(); ++i) {
      if (std::ranges::all_of(facts_, [&](const auto& of_run) { return of_run[i] == facts_.front()[i]; })) {
        shared.push_back(facts_.front()[i]);
      }
    }
    shared.push_back(describe(device_, threads_));
    return fmt::format("{}", fmt::join(shared, ", "));
  }

  const CommandLine& options_;
  onepass::Device device_;
  int threads_;
  Dataset data_;
  std::unique_ptr<Backend> backend_;
  DeviceDataset images_;
  std::vector<Run> runs_;
  std::vector<std::vector<std::string>> facts_;  ///< The facts() of each run.
  std::size_t label_width_ = 17;
};

}  // namespace

void run_program(const CommandLine& options) {
  check_outputs(options);
  Program program(options);
  if (options.configurations.empty()) {
    program.train_one();
  } else {
    program.compare();
  }
}

}  // namespace train
