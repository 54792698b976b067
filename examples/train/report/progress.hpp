// progress.hpp - what is seen while a run goes on.
#pragma once

#include <chrono>
#include <cstdint>
#include <string>

#include "training/trainer.hpp"

namespace train {

/// What a run will do.
struct Plan {
  std::string title;             ///< Put before every line.
  std::size_t title_width = 17;  ///< Room for the longest of the runs.
  std::int64_t first_step = 0;
  std::int64_t last_step = 0;
  std::int64_t steps_per_epoch = 0;
};

/// On a terminal: a line that is rewritten ten times a second, and a line that stays for each epoch.
/// Elsewhere: the lines of the epochs only.
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
