// report.hpp - the results of runs as a table, a CSV file and a picture.
#pragma once

#include <cstdint>
#include <filesystem>
#include <string>
#include <vector>

#include "report/plot.hpp"
#include "training/trainer.hpp"

namespace train {

/// A finished run and its label.
struct Run {
  std::string label;
  double lr = 0.0;                   ///< The value or the default of --lr.
  double bytes_per_parameter = 0.0;  ///< Bytes of parameters, gradients and everything the optimizer keeps.
  History history;
  std::int64_t steps_per_epoch = 0;
};

/// Returns a text like "0.3127", "1.23e+30" or "nan".
std::string loss_text(double loss);
/// Returns a text like "diverged at step 12: the loss is inf".
std::string describe(const Divergence& divergence);

/// Returns a text like "16 bytes a parameter: param 4, grad 4, exp_avg 4, exp_avg_sq 4".
std::string memory_text(const std::vector<onepass::StreamBytes>& memory, std::int64_t parameters);

/// Returns the bytes of all streams together, per parameter.
double bytes_per_parameter(const std::vector<onepass::StreamBytes>& memory, std::int64_t parameters);

/// Returns a table with a line for each run: accuracy and loss on training and test images, zero weights,
/// bytes per parameter, time in the optimizer and total time; or the step at which the run diverged. `clock`
/// is printed as the way in which the update was timed.
std::string table(const std::vector<Run>& runs, const std::string& clock);

/// Writes one line per step: run, epoch, step, lr, batch_loss, and at the end of an epoch accuracy and loss
/// on training and test images and the penalty. The last line of a run that diverged has the loss that is not
/// finite. Losses have 17 digits, so that reading them gives the same bits. Throws Failure.
void write_csv(const std::vector<Run>& runs, const std::filesystem::path& path);

/// Returns a figure with panels for training loss, accuracy on training and test images, and learning rate.
Figure figure_of(const std::vector<Run>& runs, const std::string& subtitle);
/// Writes the figure as SVG. Throws Failure.
void write_plot(const std::vector<Run>& runs, const std::string& subtitle, const std::filesystem::path& path);

}  // namespace train
