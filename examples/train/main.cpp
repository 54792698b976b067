// main.cpp - onepass-train: from the command line to the table, the files and the exit code.
#include <fmt/format.h>

#include <algorithm>
#include <cstdio>
#include <memory>

#include "errors.hpp"
#include "options.hpp"
#include "report/progress.hpp"
#include "report/report.hpp"
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

/// What the run goes by, for people.
std::string describe(onepass::Device device, int threads) {
  if (device.is_cuda()) return onepass::device_name(device);
  return fmt::format("CPU ({}), {} thread{}", onepass::to_string(onepass::best_isa()), threads,
                     threads == 1 ? "" : "s");
}

/// Settings of one run: what was asked for, else what the saved run had, else the defaults.
TrainerConfig configure(const CommandLine& options, const Checkpoint* saved) {
  TrainerConfig config{.optimizer = "adamw", .rates = {options.lr, options.weight_decay}, .options = {}};
  if (saved != nullptr) {
    const RunIdentity& run = saved->run;
    config.optimizer = run.optimizer;
    config.rates = {options.lr.value_or(run.lr), options.weight_decay.value_or(run.weight_decay)};
    if (run.widths.size() >= 2) config.hidden.assign(run.widths.begin() + 1, run.widths.end() - 1);
    config.batch_size = run.batch_size;
    config.seed = run.seed;
  }
  config.optimizer = options.optimizer.value_or(config.optimizer);
  config.hidden = options.hidden.value_or(config.hidden);
  config.batch_size = options.batch_size.value_or(config.batch_size);
  config.seed = options.seed.value_or(config.seed);
  return config;
}

/// Tells of a folder that is not there before the training and not after it.
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

/// Everything that the runs of one command share.
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
    Trainer trainer(*backend_, images_, with_threads(configure(options_, saved.get())));
    if (saved) trainer.restore(*saved);
    introduce(trainer);
    const RunIdentity& run = trainer.identity();
    fmt::print("optimizer  {}, learning rate {:.3g}, weight decay {:g}{}\n\n", find_kind(run.optimizer).title,
               run.lr, run.weight_decay,
               saved ? fmt::format(", continued after step {}", trainer.step_count()) : "");
    runs_.push_back(run_one(trainer));
    fmt::print("\n{}", table(runs_, clock()));
    // 17 digits tell any two doubles apart, so that two runs can be compared.
    fmt::print("loss of the last step: {:.17g}\n", runs_.front().history.losses.back());
    if (!options_.save.empty()) {
      save_checkpoint(trainer.checkpoint(), options_.save);
      fmt::print("the run is saved in {}\n", options_.save.string());
    }
    write_files();
  }

  void compare() {
    for (const std::string_view name : compared_kinds()) {
      TrainerConfig config = with_threads(configure(options_, nullptr));
      config.optimizer = name;
      Trainer trainer(*backend_, images_, config);
      if (runs_.empty()) introduce(trainer);
      if (runs_.empty()) fmt::print("\n");
      runs_.push_back(run_one(trainer));
    }
    fmt::print("\n{}", table(runs_, clock()));
    write_files();
  }

 private:
  [[nodiscard]] TrainerConfig with_threads(TrainerConfig config) const {
    config.options.threads = threads_;
    return config;
  }

  void introduce(const Trainer& trainer) {
    const RunIdentity& run = trainer.identity();
    network_ = fmt::format("{}", fmt::join(run.widths, "-"));
    batches_ = run.batch_size == run.images ? std::string("all images at once")
                                            : fmt::format("batches of {}", run.batch_size);
    fmt::print("data       {} training and {} test images\n", images_.training.count, images_.test.count);
    fmt::print("device     {}\n", describe(device_, threads_));
    fmt::print("network    {}, {} parameters\n", network_, trainer.network().parameter_count());
    fmt::print("steps      {}, {} an epoch, seed {}\n", batches_, trainer.steps_per_epoch(), run.seed);
  }

  Run run_one(Trainer& trainer) const {
    const std::int64_t steps = steps_to_take(options_, trainer.steps_per_epoch());
    Progress progress({.title = std::string(find_kind(trainer.identity().optimizer).title),
                       .first_step = trainer.step_count(),
                       .last_step = trainer.step_count() + steps,
                       .steps_per_epoch = trainer.steps_per_epoch()});
    return {trainer.run(steps, progress.listener()), trainer.steps_per_epoch()};
  }

  [[nodiscard]] std::string clock() const {
    return device_.is_cuda() ? "by CUDA events" : "by the wall clock";
  }

  void write_files() const {
    if (!options_.csv.empty()) write_csv(runs_, options_.csv);
    if (options_.plot.empty()) return;
    write_plot(runs_, fmt::format("perceptron {}, {}, {}", network_, batches_, describe(device_, threads_)),
               options_.plot);
  }

  const CommandLine& options_;
  onepass::Device device_;
  int threads_;
  Dataset data_;
  std::unique_ptr<Backend> backend_;
  DeviceDataset images_;
  std::vector<Run> runs_;
  std::string network_, batches_;
};

int run(int argc, const char* const* argv) {
  const Parsed parsed = parse_command_line(argc, argv);
  if (!parsed.text.empty()) {
    fmt::print("{}", parsed.text);
    return 0;
  }
  check_outputs(parsed.options);
  Program program(parsed.options);
  if (parsed.options.compare) {
    program.compare();
  } else {
    program.train_one();
  }
  return 0;
}

}  // namespace
}  // namespace train

int main(int argc, char** argv) {
  try {
    return train::run(argc, argv);
  } catch (const train::UsageError& error) {
    fmt::print(stderr, "onepass-train: {}\n", error.what());
    return 2;
  } catch (const std::exception& error) {
    fmt::print(stderr, "onepass-train: {}\n", error.what());
    return 1;
  }
}
