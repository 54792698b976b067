// report.hpp - what is left of the runs when they are over: a table, a CSV file and a picture.
#pragma once

#include <cstdint>
#include <filesystem>
#include <string>
#include <vector>

#include "report/plot.hpp"
#include "training/trainer.hpp"

namespace train {

/// One run, and what it is called.
struct Run {
  std::string label;
  double lr = 0.0;                   ///< What --lr says or would have said.
  double bytes_per_parameter = 0.0;  ///< Of parameters, gradients and all that the optimizer keeps.
  History history;
  std::int64_t steps_per_epoch = 0;
};

/// "0.3127", "1.23e+30", "nan"
std::string loss_text(double loss);
/// "diverged at step 12: the loss is inf"
std::string describe(const Divergence& divergence);

/// "16 bytes a parameter: param 4, grad 4, exp_avg 4, exp_avg_sq 4"
std::string memory_text(const std::vector<onepass::StreamBytes>& memory, std::int64_t parameters);

/// Of all streams.
double bytes_per_parameter(const std::vector<onepass::StreamBytes>& memory, std::int64_t parameters);

/// A line for each run: accuracy and loss on training and test images, zero weights, bytes a parameter, time
/// in the optimizer, time in all; or where it diverged. `clock` says how the update was timed.
std::string table(const std::vector<Run>& runs, const std::string& clock);

/// One line a step: run, epoch, step, lr, batch_loss, and, where they were measured, accuracy and loss on
/// training and test images and the penalty. The last line of a run that diverged has the loss that is no
/// number. Losses have 17 digits, so that they read back to the same bits. Throws Failure.
void write_csv(const std::vector<Run>& runs, const std::filesystem::path& path);

/// Training loss; accuracy on training and test images; learning rate.
Figure figure_of(const std::vector<Run>& runs, const std::string& subtitle);
/// Throws Failure.
void write_plot(const std::vector<Run>& runs, const std::string& subtitle, const std::filesystem::path& path);

}  // namespace train
