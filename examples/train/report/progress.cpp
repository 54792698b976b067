// progress.cpp - the progress line.
#include "report/progress.hpp"

#include <fmt/format.h>
#include <unistd.h>

#include <cstdio>
#include <cstdlib>
#include <cstring>
#include <utility>

#include "report/report.hpp"

namespace train {
namespace {

constexpr auto kInterval = std::chrono::milliseconds(100);
constexpr std::int64_t kBarWidth = 24;
constexpr const char* kClearLine = "\r\x1b[K";

/// Returns true if the standard output is a terminal that can rewrite a line.
bool is_live() {
  const char* terminal = std::getenv("TERM");
  return isatty(STDOUT_FILENO) == 1 && (terminal == nullptr || std::strcmp(terminal, "dumb") != 0);
}

std::string bar(std::int64_t done, std::int64_t all) {
  const auto filled = static_cast<std::size_t>(kBarWidth * done / all);
  return fmt::format("[{:<{}}]", std::string(filled, '='), kBarWidth);
}

}  // namespace

Progress::Progress(Plan plan) : plan_(std::move(plan)), live_(is_live()), shown_(Clock::now()) {}

Listener Progress::listener() {
  return {.wants_progress = [this] { return live_ && Clock::now() - shown_ >= kInterval; },
          .on_progress = [this](std::int64_t step, double loss) { show(step, loss); },
          .on_epoch = [this](const EpochResult& result) { finish(result); },
          .on_divergence = [this](const Divergence& divergence) { give_up(divergence); }};
}

std::string Progress::epoch_text(std::int64_t epoch) const {
  const std::int64_t epochs = (plan_.last_step - 1) / plan_.steps_per_epoch + 1;
  return fmt::format("{:<{}} epoch {:>{}}/{}", plan_.title, plan_.title_width, epoch,
                     fmt::formatted_size("{}", epochs), epochs);
}

void Progress::show(std::int64_t step, double loss) {
  if (!live_) return;
  shown_ = Clock::now();
  const std::int64_t in_epoch = (step - 1) % plan_.steps_per_epoch + 1;
  fmt::print("{}{}  {} {}/{}  loss {}", kClearLine, epoch_text((step - 1) / plan_.steps_per_epoch + 1),
             bar(in_epoch, plan_.steps_per_epoch), in_epoch, plan_.steps_per_epoch, loss_text(loss));
  std::fflush(stdout);
}

void Progress::finish(const EpochResult& result) {
  write_line(result.epoch,
             fmt::format("train: loss {}, accuracy {:.2f} %  test: loss {}, accuracy {:.2f} %{}  {:.1f} s",
                         loss_text(result.train.loss), 100.0 * result.train.accuracy,
                         loss_text(result.test.loss), 100.0 * result.test.accuracy,
                         result.penalty > 0.0 ? fmt::format("  penalty {}", loss_text(result.penalty)) : "",
                         result.seconds));
}

void Progress::give_up(const Divergence& divergence) {
  write_line((divergence.step - 1) / plan_.steps_per_epoch + 1, describe(divergence));
}

void Progress::write_line(std::int64_t epoch, const std::string& text) const {
  fmt::print("{}{}  {}\n", live_ ? kClearLine : "", epoch_text(epoch), text);
  std::fflush(stdout);
}

}  // namespace train
