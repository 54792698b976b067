// trainer.hpp - trains one network with one optimizer.
#pragma once

#include <cstdint>
#include <functional>
#include <optional>
#include <span>
#include <vector>

#include "model/backend.hpp"
#include "model/network.hpp"
#include "training/checkpoint.hpp"
#include "training/optimizer.hpp"
#include "training/settings.hpp"

namespace train {

/// Training and test images in the backend's memory.
struct DeviceDataset {
  DeviceImages training;
  DeviceImages test;
};

/// How the network does on some images, with nothing of the training switched on.
struct Score {
  double accuracy = 0.0;  ///< In [0, 1].
  double loss = 0.0;      ///< Mean cross entropy.
};

/// After an epoch, or after the last step of a run that ends within one.
struct EpochResult {
  std::int64_t epoch = 0;      ///< From 1.
  std::int64_t last_step = 0;  ///< From 1, over all runs.
  double batch_loss = 0.0;     ///< Mean over the epoch's steps in this run, while the weights moved.
  Score train;                 ///< On the first training images, as many as there are test images.
  Score test;
  double penalty = 0.0;  ///< What weight decay in the gradient and L1 add to the loss.
  double seconds = 0.0;  ///< Since the epoch or the run began.
};

/// Where a loss stopped being a number, and what it was.
struct Divergence {
  std::int64_t step = 0;  ///< From 1, over all runs.
  double loss = 0.0;      ///< NaN or infinite.
};

/// What happened in a run.
struct History {
  std::int64_t first_step = 0;  ///< Steps taken before the run.
  std::vector<double> losses;   ///< The mean loss of each step's images; finite.
  std::vector<double> rates;    ///< The learning rate of each step; as many as losses.
  std::vector<EpochResult> epochs;
  std::optional<Divergence> divergence;  ///< Where the run has ended early.
  Zeros zero_weights;                    ///< At the end.
  double update_seconds = 0.0;           ///< In the optimizer (Backend::start_clock).
  double total_seconds = 0.0;            ///< The run by the wall clock, tests included.
};

/// Called after a step, after each epoch, and where the loss stops being a number.
struct Listener {
  std::function<bool()> wants_progress = [] { return false; };  ///< Whether to fetch the loss now.
  std::function<void(std::int64_t step, double loss)> on_progress = [](std::int64_t, double) {};
  std::function<void(const EpochResult&)> on_epoch = [](const EpochResult&) {};
  std::function<void(const Divergence&)> on_divergence = [](const Divergence&) {};
};

class Trainer {
 public:
  /// The backend and the images must outlive the trainer. What `options` say of storage and seed gives way to
  /// the settings. Throws UsageError where resolve() does.
  Trainer(Backend& backend, const DeviceDataset& images, const Settings& settings,
          const onepass::Options& options = {});

  /// Goes on where another trainer was saved. Throws UsageError if a setting differs that may not change, or
  /// the number of images.
  void restore(const Checkpoint& checkpoint);
  [[nodiscard]] Checkpoint checkpoint() const;

  /// Takes `steps` steps, or fewer: ends where the loss stops being a number.
  History run(std::int64_t steps, const Listener& listener = {});

  [[nodiscard]] Score test() { return score(images_.test, images_.test.count); }
  [[nodiscard]] std::int64_t steps_per_epoch() const {
    return train::steps_per_epoch(settings_, images_.training.count);
  }
  [[nodiscard]] std::int64_t step_count() const { return step_; }
  /// The learning rate of the next step. Waits for the stream.
  [[nodiscard]] double lr() const { return optimizer_.lr(backend_.stream()); }
  /// Bytes of parameters, gradients and all that the optimizer keeps, by stream.
  [[nodiscard]] std::vector<onepass::StreamBytes> memory() const { return optimizer_.memory(); }
  [[nodiscard]] const Network& network() const { return network_; }
  /// With every field filled in.
  [[nodiscard]] const Settings& settings() const { return settings_; }

 private:
  /// Where images lie in an epoch's order.
  struct Range {
    std::int64_t first, count;
  };
  [[nodiscard]] Range images_of(std::int64_t step) const;

  void take_step();
  template <class Work>
  void timed(Work work);
  void compute_gradients(std::int64_t first, const Part& part);
  [[nodiscard]] double mean_loss(std::int64_t step, std::span<const double> of_batches) const;
  void draw_order();
  void fetch_losses(History& history);
  [[nodiscard]] EpochResult finish_epoch(std::span<const double> losses);
  [[nodiscard]] Score score(const DeviceImages& images, std::int64_t count);

  Backend& backend_;
  const DeviceDataset& images_;
  Settings settings_;
  Network network_;
  AnyOptimizer optimizer_;
  onepass::DeviceBuffer order_;   ///< Of the training images in this epoch.
  onepass::DeviceBuffer losses_;  ///< One for each batch of an epoch.
  std::int64_t step_ = 0;
  std::int64_t fetched_ = 0;  ///< Steps whose loss the host knows.
};

}  // namespace train
