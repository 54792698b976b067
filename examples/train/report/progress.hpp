// progress.hpp - prints the progress of a run.
#pragma once

#include <chrono>
#include <cstdint>
#include <string>

#include "training/trainer.hpp"

namespace train {

/// The title and the steps of a run.
struct Plan {
  std::string title;             ///< Starts every line.
  std::size_t title_width = 17;  ///< Width of the longest title of all runs.
  std::int64_t first_step = 0;
  std::int64_t last_step = 0;
  std::int64_t steps_per_epoch = 0;
};

/// Prints a line for each epoch. On a terminal it also shows a progress line, rewritten ten times a second.
class Progress {
 public:
  explicit Progress(Plan plan);

  [[nodiscard]] Listener listener();

 private:
  using Clock = std::chrono::steady_clock;

  void show(std::int64_t step, double loss);
  void finish(const EpochResult& result);
  void give_up(const Divergence& divergence);
  void write_line(std::int64_t epoch, const std::string& text) const;
  [[nodiscard]] std::string epoch_text(std::int64_t epoch) const;

  Plan plan_;
  bool live_;
  Clock::time_point shown_;
};

}  // namespace train
