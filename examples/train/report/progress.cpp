// progress.cpp - the progress line.
#include "report/progress.hpp"

#include <fmt/format.h>
#include <unistd.h>

#include <cstdio>
#include <cstdlib>
#include <cstring>
#include <utility>

namespace train {
namespace {

constexpr auto kInterval = std::chrono::milliseconds(100);
constexpr std::int64_t kBarWidth = 24;
constexpr const char* kClearLine = "\r\x1b[K";

/// A terminal that can rewrite a line.
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
          .on_epoch = [this](const EpochResult& result) { finish(result); }};
}

std::string Progress::epoch_text(std::int64_t epoch) const {
  const std::int64_t epochs = (plan_.last_step - 1) / plan_.steps_per_epoch + 1;
  return fmt::format("{:<17} epoch {:>{}}/{}", plan_.title, epoch, fmt::formatted_size("{}", epochs), epochs);
}

void Progress::show(std::int64_t step, double loss) {
  if (!live_) return;
  shown_ = Clock::now();
  const std::int64_t in_epoch = (step - 1) % plan_.steps_per_epoch + 1;
  fmt::print("{}{}  {} {}/{}  loss {:.4f}", kClearLine, epoch_text((step - 1) / plan_.steps_per_epoch + 1),
             bar(in_epoch, plan_.steps_per_epoch), in_epoch, plan_.steps_per_epoch, loss);
  std::fflush(stdout);
}

void Progress::finish(const EpochResult& result) {
  fmt::print("{}{}  training loss {:.4f}  test loss {:.4f}  test accuracy {:.2f} %  {:.1f} s\n",
             live_ ? kClearLine : "", epoch_text(result.epoch), result.training_loss, result.test.loss,
             100.0 * result.test.accuracy, result.seconds);
  std::fflush(stdout);
}

}  // namespace train
