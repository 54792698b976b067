// trainer.hpp - trains one network with one optimizer.
#pragma once

#include <cstdint>
#include <functional>
#include <optional>
#include <string>
#include <vector>

#include "model/backend.hpp"
#include "model/network.hpp"
#include "training/checkpoint.hpp"
#include "training/optimizer.hpp"

namespace train {

/// Training and test images in the backend's memory.
struct DeviceDataset {
  DeviceImages training;
  DeviceImages test;
};

/// What to train, and how.
struct TrainerConfig {
  std::string optimizer;                       ///< A name in optimizer_kinds().
  Rates rates;                                 ///< Where they differ from the kind's own.
  std::vector<std::int64_t> hidden{256, 128};  ///< Widths of the hidden layers.
  std::int64_t batch_size = 64;                ///< Images in a step; 0: all of them.
  std::uint64_t seed = 1;                      ///< Of weights and order.
  onepass::Options options;                    ///< How the optimizer works.
};

/// How the network does on the test images.
struct Score {
  double accuracy = 0.0;  ///< In [0, 1].
  double loss = 0.0;      ///< Mean cross entropy.
};

/// After an epoch, or after the last step of a run that ends within one.
struct EpochResult {
  std::int64_t epoch = 0;      ///< From 1.
  std::int64_t last_step = 0;  ///< From 1, over all runs.
  double training_loss = 0.0;  ///< Mean over the epoch's steps in this run.
  Score test;
  double seconds = 0.0;  ///< Since the epoch or the run began.
};

/// What happened in a run.
struct History {
  std::string title;  ///< "AdamW"
  double lr = 0.0;
  std::int64_t first_step = 0;  ///< Steps taken before the run.
  std::vector<double> losses;   ///< The mean loss of each step's batch.
  std::vector<EpochResult> epochs;
  double update_seconds = 0.0;  ///< In the optimizer (Backend::start_clock).
  double total_seconds = 0.0;   ///< The run by the wall clock, tests included.
};

/// Called before a step is taken and after each epoch.
struct Listener {
  std::function<bool()> wants_progress = [] { return false; };  ///< Whether to fetch the loss now.
  std::function<void(std::int64_t step, double loss)> on_progress = [](std::int64_t, double) {};
  std::function<void(const EpochResult&)> on_epoch = [](const EpochResult&) {};
};

class Trainer {
 public:
  /// The backend and the images must outlive the trainer. Throws UsageError if there is no such optimizer.
  Trainer(Backend& backend, const DeviceDataset& images, const TrainerConfig& config);

  /// Goes on where another trainer was saved. Throws UsageError if that was another optimizer, network,
  /// batch size, seed or number of images.
  void restore(const Checkpoint& checkpoint);
  [[nodiscard]] Checkpoint checkpoint() const;

  /// Takes `steps` steps. Throws Failure if the loss stops being a number.
  History run(std::int64_t steps, const Listener& listener = {});

  [[nodiscard]] Score test();
  [[nodiscard]] std::int64_t steps_per_epoch() const;
  [[nodiscard]] std::int64_t step_count() const { return step_; }
  [[nodiscard]] const Network& network() const { return network_; }
  [[nodiscard]] const RunIdentity& identity() const { return identity_; }

 private:
  void take_step();
  void draw_order();
  void fetch_losses(History& history);

  Backend& backend_;
  const DeviceDataset& images_;
  const OptimizerKind& kind_;
  RunIdentity identity_;
  Network network_;
  AnyOptimizer optimizer_;
  onepass::DeviceBuffer order_;   ///< Of the training images in this epoch.
  onepass::DeviceBuffer losses_;  ///< One for each step of an epoch.
  std::int64_t step_ = 0;
  std::int64_t fetched_ = 0;  ///< Steps whose loss the host knows.
};

}  // namespace train
