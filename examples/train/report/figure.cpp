// figure.cpp - builds the figure of a list of runs.
#include <fmt/format.h>

#include <algorithm>
#include <cmath>
#include <limits>

#include "report/report.hpp"

namespace train {
namespace {

constexpr double kLogFrom = 4.0;        // ratio of highest to lowest value above which an axis is logarithmic
constexpr double kHighestLoss = 4.0;    // multiple of the first loss at which the panel is cut off
constexpr double kLowestRate = 1e-2;    // share of the smallest peak at which a logarithmic axis starts
constexpr std::size_t kMostMarks = 30;  // longest curve whose points are marked
constexpr double kFewestEpochs = 2.0;   // shorter runs have an x axis in steps

/// The unit and the end of the x axes.
struct Time {
  bool in_steps = false;
  double end = 0.0;

  [[nodiscard]] double at(const Run& run, std::int64_t step) const {
    return static_cast<double>(step) / (in_steps ? 1.0 : static_cast<double>(run.steps_per_epoch));
  }
  [[nodiscard]] std::string label() const { return in_steps ? "steps" : "epochs"; }
};

std::int64_t last_step(const Run& run) {
  return run.history.first_step + static_cast<std::int64_t>(run.history.losses.size());
}

/// Returns steps if all runs are short and have epochs of equal length, else epochs. Then equal times are
/// equal numbers of images.
Time time_of(const std::vector<Run>& runs) {
  Time time;
  for (const Run& run : runs) time.end = std::max(time.end, time.at(run, last_step(run)));
  const bool alike = std::ranges::all_of(
      runs, [&](const Run& run) { return run.steps_per_epoch == runs.front().steps_per_epoch; });
  if (runs.empty() || !alike || time.end >= kFewestEpochs) return time;
  time.in_steps = true;
  time.end = std::round(time.end * static_cast<double>(runs.front().steps_per_epoch));
  return time;
}

Axis::Spacing spacing(double low, double high) {
  return low > 0.0 && high > kLogFrom * low ? Axis::Spacing::logarithmic : Axis::Spacing::linear;
}

/// Makes a curve of the values of each step of a run.
Curve over_steps(const Run& run, std::size_t key, const Time& time, const std::vector<double>& values) {
  Curve curve{.key = key, .breaks_off = run.history.divergence.has_value(), .points = {}};
  for (std::size_t i = 0; i < values.size(); ++i) {
    const std::int64_t step = run.history.first_step + static_cast<std::int64_t>(i) + 1;
    curve.points.push_back({time.at(run, step), values[i]});
  }
  return curve;
}

Panel loss_panel(const std::vector<Run>& runs, const Time& time) {
  Panel panel{.title = "Training loss: cross entropy of the batches, running mean",
              .x = {.label = time.label()},
              .y = {},
              .curves = {}};
  double first = 0.0;
  double low = std::numeric_limits<double>::infinity();
  double high = 0.0;
  double start = time.end;
  for (std::size_t i = 0; i < runs.size(); ++i) {
    panel.curves.push_back(over_steps(runs[i], i, time, smooth(runs[i].history.losses)));
    for (const Point& point : panel.curves.back().points) {
      low = std::min(low, point.y);
      high = std::max(high, point.y);
    }
    if (panel.curves.back().points.empty()) continue;
    first = std::max(first, panel.curves.back().points.front().y);
    start = std::min(start, panel.curves.back().points.front().x);
  }
  if (high > kHighestLoss * first) {
    panel.y.high = high = kHighestLoss * first;
    panel.title += fmt::format("; cut off at {:g} times the first", kHighestLoss);
  }
  panel.x.spacing = spacing(start, time.end);
  panel.y.spacing = spacing(low, high);
  return panel;
}

Panel accuracy_panel(const std::vector<Run>& runs, const Time& time) {
  Panel panel{.title = "Accuracy in %: test, and training (dotted)",
              .x = {.label = time.label(), .low = 0.0, .high = time.end},
              .y = {},
              .curves = {}};
  for (const bool test : {false, true}) {
    for (std::size_t i = 0; i < runs.size(); ++i) {
      const std::vector<EpochResult>& epochs = runs[i].history.epochs;
      Curve curve{.key = i,
                  .style = test ? Curve::Style::line : Curve::Style::dotted,
                  .marked = epochs.size() <= kMostMarks,
                  .points = {}};
      for (const EpochResult& epoch : epochs) {
        const Score& score = test ? epoch.test : epoch.train;
        curve.points.push_back({time.at(runs[i], epoch.last_step), 100.0 * score.accuracy});
      }
      panel.curves.push_back(std::move(curve));
    }
  }
  return panel;
}

Panel rate_panel(const std::vector<Run>& runs, const Time& time) {
  Panel panel{.title = "Learning rate",
              .x = {.label = time.label(), .low = 0.0, .high = time.end},
              .y = {},
              .curves = {}};
  double smallest_peak = std::numeric_limits<double>::infinity();
  double largest_peak = 0.0;
  double low = std::numeric_limits<double>::infinity();
  for (std::size_t i = 0; i < runs.size(); ++i) {
    const std::vector<double>& rates = runs[i].history.rates;
    panel.curves.push_back(over_steps(runs[i], i, time, rates));
    if (rates.empty()) continue;
    const auto [least, most] = std::ranges::minmax(rates);
    smallest_peak = std::min(smallest_peak, most);
    largest_peak = std::max(largest_peak, most);
    low = std::min(low, least);
  }
  // A linear axis shows the shape of a schedule; a logarithmic axis separates rates of different size.
  panel.y.spacing = spacing(smallest_peak, largest_peak);
  if (panel.y.spacing == Axis::Spacing::logarithmic) panel.y.low = std::max(low, kLowestRate * smallest_peak);
  if (panel.y.spacing == Axis::Spacing::linear) panel.y.low = 0.0;
  return panel;
}

}  // namespace

Figure figure_of(const std::vector<Run>& runs, const std::string& subtitle) {
  const Time time = time_of(runs);
  Figure figure{.title = "Training on Fashion-MNIST", .subtitle = subtitle, .keys = {}, .panels = {}};
  for (const Run& run : runs) {
    const History& history = run.history;
    Key key{.label = run.label, .note = {}};
    if (history.divergence) {
      key.note = fmt::format("diverged at step {}", history.divergence->step);
    } else if (!history.epochs.empty()) {
      key.note = fmt::format("test {:.1f} %", 100.0 * history.epochs.back().test.accuracy);
    }
    figure.keys.push_back(std::move(key));
  }
  figure.panels = {loss_panel(runs, time), accuracy_panel(runs, time), rate_panel(runs, time)};
  return figure;
}

}  // namespace train
