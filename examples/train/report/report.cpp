// report.cpp - writes the table, the CSV file and the picture.
#include "report/report.hpp"

#include <fmt/format.h>

#include <algorithm>
#include <cerrno>
#include <cstring>
#include <fstream>
#include <iterator>

#include "errors.hpp"
#include "report/plot.hpp"

namespace train {
namespace {

void write_text(const std::string& text, const std::filesystem::path& path) {
  errno = 0;
  std::ofstream file(path, std::ios::trunc);
  file << text;
  file.close();
  if (!file) throw Failure(fmt::format("{} cannot be written: {}", path.string(), std::strerror(errno)));
}

Curve curve_of(const Run& run, bool among_others) {
  const History& history = run.history;
  const std::vector<double> losses = smooth(history.losses);
  // With a small decay AdamW's curve lies on Adam's.
  Curve curve{
      .label = history.title, .note = {}, .dashed = history.title == "AdamW" && among_others, .points = {}};
  if (!history.epochs.empty())
    curve.note = fmt::format("{:.1f} %", 100.0 * history.epochs.back().test.accuracy);
  for (std::size_t i = 0; i < losses.size(); ++i) {
    const auto step = static_cast<double>(history.first_step + static_cast<std::int64_t>(i) + 1);
    curve.points.push_back({step / static_cast<double>(run.steps_per_epoch), losses[i]});
  }
  return curve;
}

}  // namespace

std::string table(const std::vector<Run>& runs, const std::string& clock) {
  std::string text = fmt::format("{:<17} {:>8} {:>15} {:>15} {:>11} {:>14} {:>10}\n", "optimizer", "lr",
                                 "test accuracy", "training loss", "update", "of it a step", "in all");
  for (const Run& run : runs) {
    const History& history = run.history;
    if (history.epochs.empty()) continue;
    const EpochResult& last = history.epochs.back();
    text += fmt::format(
        "{:<17} {:>8.3g} {:>13.2f} % {:>15.4f} {:>9.2f} s {:>11.1f} us {:>8.2f} s\n", history.title,
        history.lr, 100.0 * last.test.accuracy, last.training_loss, history.update_seconds,
        1e6 * history.update_seconds / static_cast<double>(history.losses.size()), history.total_seconds);
  }
  text += fmt::format(
      "training loss: mean over the last epoch; update: time in onepass, {}; in all: the wall clock, tests "
      "included\n",
      clock);
  return text;
}

void write_csv(const std::vector<Run>& runs, const std::filesystem::path& path) {
  std::string text = "optimizer,epoch,step,training_loss,test_accuracy,test_loss\n";
  for (const Run& run : runs) {
    auto result = run.history.epochs.begin();
    std::int64_t step = run.history.first_step;
    for (const double loss : run.history.losses) {
      ++step;
      fmt::format_to(std::back_inserter(text), "{},{},{},{:.17g}", run.history.title,
                     (step - 1) / run.steps_per_epoch + 1, step, loss);
      if (result != run.history.epochs.end() && result->last_step == step) {
        fmt::format_to(std::back_inserter(text), ",{:.17g},{:.17g}\n", result->test.accuracy,
                       result->test.loss);
        ++result;
      } else {
        text += ",,\n";
      }
    }
  }
  write_text(text, path);
}

void write_plot(const std::vector<Run>& runs, const std::string& subtitle,
                const std::filesystem::path& path) {
  Figure figure{.title = "Training loss on Fashion-MNIST",
                .subtitle = subtitle,
                .x_label = "epochs",
                .y_label = "cross entropy of the batches, running mean",
                .note_label = "test accuracy",
                .curves = {}};
  for (const Run& run : runs) figure.curves.push_back(curve_of(run, runs.size() > 1));
  write_text(render_svg(figure), path);
}

}  // namespace train
