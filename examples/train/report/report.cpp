// report.cpp - writes the table, the CSV file and the picture.
#include "report/report.hpp"

#include <fmt/format.h>

#include <algorithm>
#include <cerrno>
#include <cmath>
#include <cstring>
#include <fstream>
#include <iterator>

#include "errors.hpp"

namespace train {
namespace {

constexpr std::size_t kLabelWidth = 17;

void write_text(const std::string& text, const std::filesystem::path& path) {
  errno = 0;
  std::ofstream file(path, std::ios::trunc);
  file << text;
  file.close();
  if (!file) throw Failure(fmt::format("{} cannot be written: {}", path.string(), std::strerror(errno)));
}

double share(Zeros zeros) {
  return static_cast<double>(zeros.zero) / static_cast<double>(std::max(zeros.all, std::int64_t{1}));
}

/// Returns a run's line in the table, without its label and rate.
std::string results(const Run& run) {
  const History& history = run.history;
  if (history.divergence) return describe(*history.divergence);
  if (history.epochs.empty()) return {};
  const EpochResult& last = history.epochs.back();
  return fmt::format(
      "{:>6.2f} % {:>6.2f} % {:>8} {:>8} {:>7.2f} % {:>7.4g} {:>8.2f} s {:>9.1f} us {:>8.2f} s",
      100.0 * last.train.accuracy, 100.0 * last.test.accuracy, loss_text(last.train.loss),
      loss_text(last.test.loss), 100.0 * share(history.zero_weights), run.bytes_per_parameter,
      history.update_seconds, 1e6 * history.update_seconds / static_cast<double>(history.losses.size()),
      history.total_seconds);
}

/// Quotes a label as a field of a CSV file (RFC 4180).
std::string quoted(const std::string& text) {
  if (text.find_first_of(",\"\n") == std::string::npos) return text;
  std::string quoted = "\"";
  for (const char c : text) quoted += c == '"' ? "\"\"" : std::string(1, c);
  return quoted + "\"";
}

}  // namespace

std::string loss_text(double loss) {
  constexpr double kLarge = 1e3;
  if (std::isnan(loss)) return "nan";  // without a sign
  return loss < kLarge ? fmt::format("{:.4f}", loss) : fmt::format("{:.3g}", loss);
}

std::string describe(const Divergence& divergence) {
  return fmt::format("diverged at step {}: the loss is {}", divergence.step, loss_text(divergence.loss));
}

double bytes_per_parameter(const std::vector<onepass::StreamBytes>& memory, std::int64_t parameters) {
  double bytes = 0.0;
  for (const onepass::StreamBytes& stream : memory) bytes += stream.bytes;
  return bytes / static_cast<double>(parameters);
}

std::string memory_text(const std::vector<onepass::StreamBytes>& memory, std::int64_t parameters) {
  std::vector<std::string> streams;
  for (const onepass::StreamBytes& stream : memory) {
    streams.push_back(fmt::format("{} {:.5g}", stream.name, stream.bytes / static_cast<double>(parameters)));
  }
  return fmt::format("{:.5g} bytes a parameter: {}", bytes_per_parameter(memory, parameters),
                     fmt::join(streams, ", "));
}

std::string table(const std::vector<Run>& runs, const std::string& clock) {
  std::size_t width = kLabelWidth;
  for (const Run& run : runs) width = std::max(width, run.label.size());
  std::string text = fmt::format(
      "{0:<{1}} {2:>8} {3:>17} {4:>17} {5:>9} {6:>7} {7:>23} {8:>10}\n"
      "{9:<{1}} {10:>8} {11:>8} {12:>8} {13:>8} {14:>8} {15:>9} {16:>7} {17:>10} {18:>12} {19:>10}\n",
      "", width, "", "accuracy", "loss", "zero", "bytes a", "time in onepass", "time", "run", "lr", "train",
      "test", "train", "test", "weights", "param", "in all", "a step", "in all");
  for (const Run& run : runs) {
    text += fmt::format("{:<{}} {:>8.3g} {}\n", run.label, width, run.lr, results(run));
  }
  text += fmt::format(
      "train: measured on the first training images, as many as there are test images. Time in onepass is "
      "measured {}, the time of the run by the wall clock, tests included.\n",
      clock);
  return text;
}

void write_csv(const std::vector<Run>& runs, const std::filesystem::path& path) {
  std::string text =
      "run,epoch,step,lr,batch_loss,train_accuracy,train_loss,test_accuracy,test_loss,penalty\n";
  const auto out = std::back_inserter(text);
  for (const Run& run : runs) {
    const History& history = run.history;
    const std::string label = quoted(run.label);
    const auto epoch = [&](std::int64_t step) { return (step - 1) / run.steps_per_epoch + 1; };
    auto result = history.epochs.begin();
    for (std::size_t i = 0; i < history.losses.size(); ++i) {
      const std::int64_t step = history.first_step + static_cast<std::int64_t>(i) + 1;
      fmt::format_to(out, "{},{},{},{},{:.17g}", label, epoch(step), step, history.rates[i],
                     history.losses[i]);
      if (result != history.epochs.end() && result->last_step == step) {
        fmt::format_to(out, ",{:.17g},{:.17g},{:.17g},{:.17g},{:.17g}\n", result->train.accuracy,
                       result->train.loss, result->test.accuracy, result->test.loss, result->penalty);
        ++result;
      } else {
        text += ",,,,,\n";
      }
    }
    if (history.divergence) {
      const auto [step, loss] = *history.divergence;
      fmt::format_to(out, "{},{},{},,{},,,,,\n", label, epoch(step), step, loss_text(loss));
    }
  }
  write_text(text, path);
}

void write_plot(const std::vector<Run>& runs, const std::string& subtitle,
                const std::filesystem::path& path) {
  write_text(render_svg(figure_of(runs, subtitle)), path);
}

}  // namespace train
