// report.hpp - what is left of a run when it is over: a table, a CSV file and a picture.
#pragma once

#include <cstdint>
#include <filesystem>
#include <string>
#include <vector>

#include "training/trainer.hpp"

namespace train {

/// One run and the length of its epochs.
struct Run {
  History history;
  std::int64_t steps_per_epoch = 0;
};

/// A line for each run: test accuracy, training loss, time in the optimizer, time in all.
/// `clock` says how the update was timed.
std::string table(const std::vector<Run>& runs, const std::string& clock);

/// One line a step: optimizer, epoch, step, training_loss, and test_accuracy and test_loss where they were
/// measured. Losses have 17 digits, so that they read back to the same bits. Throws Failure.
void write_csv(const std::vector<Run>& runs, const std::filesystem::path& path);

/// The loss curves of all runs. Throws Failure.
void write_plot(const std::vector<Run>& runs, const std::string& subtitle, const std::filesystem::path& path);

}  // namespace train
