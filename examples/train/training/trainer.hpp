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

/// The network's results on some images, without dropout.
struct Score {
  double accuracy = 0.0;  ///< Share of images classified correctly; in [0, 1].
  double loss = 0.0;      ///< Mean cross entropy.
};

/// Results of an epoch, or of the part of an epoch until the last step of a run.
struct EpochResult {
  std::int64_t epoch = 0;      ///< Counted from 1.
  std::int64_t last_step = 0;  ///< Counted from 1, resumed runs included.
  double batch_loss = 0.0;     ///< Mean loss of this run's steps in the epoch, while the weights change.
  Score train;                 ///< On the first training images, as many as there are test images.
  Score test;
  double penalty = 0.0;  ///< Penalty that coupled weight decay and L1 add to the loss.
  double seconds = 0.0;  ///< Time since the start of the epoch or of the run.
};

/// The first loss that is not finite.
struct Divergence {
  std::int64_t step = 0;  ///< Counted from 1, resumed runs included.
  double loss = 0.0;      ///< NaN or infinite.
};

/// The results of a run.
struct History {
  std::int64_t first_step = 0;  ///< Number of steps taken before the run.
  std::vector<double> losses;   ///< Mean loss of each step's images; finite.
  std::vector<double> rates;    ///< Learning rate of each step; as many as losses.
  std::vector<EpochResult> epochs;
  std::optional<Divergence> divergence;  ///< Set if the run ended early.
  Zeros zero_weights;                    ///< Zero weights at the end.
  double update_seconds = 0.0;           ///< Time in the optimizer (Backend::start_clock).
  double total_seconds = 0.0;            ///< Wall-clock time of the run, tests included.
};

/// Functions that the trainer calls after a step, after each epoch, and when the loss is no longer finite.
struct Listener {
  std::function<bool()> wants_progress = [] { return false; };  ///< Return true to fetch the loss now.
  std::function<void(std::int64_t step, double loss)> on_progress = [](std::int64_t, double) {};
  std::function<void(const EpochResult&)> on_epoch = [](const EpochResult&) {};
  std::function<void(const Divergence&)> on_divergence = [](const Divergence&) {};
};

class Trainer {
 public:
  /// The backend and the images must outlive the trainer. The settings override storage and seed in
  /// `options`. Throws UsageError if resolve() does.
  Trainer(Backend& backend, const DeviceDataset& images, const Settings& settings,
          const onepass::Options& options = {});

  /// Continues from the saved state of another trainer. Throws UsageError if the number of images or a
  /// setting that may not change differs, and Failure if the state contradicts itself.
  void restore(const Checkpoint& checkpoint);
  [[nodiscard]] Checkpoint checkpoint() const;

  /// Takes `steps` steps. Stops early when the loss is no longer finite.
  History run(std::int64_t steps, const Listener& listener = {});

  [[nodiscard]] Score test() { return score(images_.test, images_.test.count); }
  [[nodiscard]] std::int64_t steps_per_epoch() const {
    return train::steps_per_epoch(settings_, images_.training.count);
  }
  [[nodiscard]] std::int64_t step_count() const { return step_; }
  /// Returns the learning rate of the next step. Waits for the stream.
  [[nodiscard]] double lr() const { return optimizer_.lr(0, backend_.stream()); }
  /// Returns the bytes of parameters, gradients and everything that the optimizer keeps, by stream.
  [[nodiscard]] std::vector<onepass::StreamBytes> memory() const { return optimizer_.memory(); }
  [[nodiscard]] const Network& network() const { return network_; }
  /// Returns the resolved settings.
  [[nodiscard]] const Settings& settings() const { return settings_; }

 private:
  /// A range of images in the order of an epoch.
  struct Range {
    std::int64_t first, count;
  };
  [[nodiscard]] Range images_of(std::int64_t step) const;

  void take_step();
  template <class Work>
  void timed(Work work);
  void compute_gradients(std::int64_t first, const Part& part, double* mean_loss);
  void pass(double* losses, std::int64_t stride);
  [[nodiscard]] double mean_loss(std::int64_t step, std::span<const double> of_batches) const;
  void draw_order();
  void fetch_losses(History& history);
  [[nodiscard]] EpochResult finish_epoch(std::span<const double> losses);
  [[nodiscard]] Score score(const DeviceImages& images, std::int64_t count);

  Backend& backend_;
  const DeviceDataset& images_;
  Settings settings_;
  Network network_;
  onepass::Optimizer optimizer_;
  onepass::DeviceBuffer order_;   ///< Order of the training images in this epoch.
  onepass::DeviceBuffer losses_;  ///< One for each batch of an epoch, and one for those that nobody reads.
  std::int64_t step_ = 0;
  std::int64_t fetched_ = 0;  ///< Number of steps whose loss is on the host.
};

}  // namespace train
