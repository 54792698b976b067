// trainer.cpp - the training loop.
#include "training/trainer.hpp"

#include <fmt/format.h>

#include <algorithm>
#include <chrono>
#include <cmath>
#include <numeric>

#include "data/random.hpp"
#include "errors.hpp"

namespace train {
namespace {

constexpr std::int64_t kTestRows = 1000;  // images tested at once, whatever the batch size

using Clock = std::chrono::steady_clock;
double seconds_since(Clock::time_point start) {
  return std::chrono::duration<double>(Clock::now() - start).count();
}

RunIdentity identify(const TrainerConfig& config, const DeviceImages& images) {
  RunIdentity identity{.optimizer = config.optimizer,
                       .widths = config.hidden,
                       .images = images.count,
                       .batch_size = config.batch_size == 0 ? images.count : config.batch_size,
                       .seed = config.seed};
  if (identity.batch_size < 1 || identity.batch_size > images.count) {
    throw UsageError(
        fmt::format("--batch-size must be 'full' or a number from 1 to {}, as many as there are "
                    "training images, but is {}",
                    images.count, identity.batch_size));
  }
  identity.widths.insert(identity.widths.begin(), images.size);
  identity.widths.push_back(kClasses);
  const AnyRule rule = make_rule(find_kind(config.optimizer), config.rates, identity.batch_size);
  identity.lr = lr_of(rule);
  identity.weight_decay = weight_decay_of(rule);
  return identity;
}

template <class T>
void require_same(const char* what, const T& saved, const T& asked) {
  if (saved == asked) return;
  throw UsageError(fmt::format("the saved run had {} {}, but this one has {}", what, saved, asked));
}

std::string widths_text(const std::vector<std::int64_t>& widths) {
  return fmt::format("{}", fmt::join(widths, "-"));
}

}  // namespace

Trainer::Trainer(Backend& backend, const DeviceDataset& images, const TrainerConfig& config)
    : backend_(backend),
      images_(images),
      kind_(find_kind(config.optimizer)),
      identity_(identify(config, images.training)),
      network_(backend, identity_.widths, std::max(identity_.batch_size, kTestRows)),
      optimizer_(make_rule(kind_, config.rates, identity_.batch_size), network_.parameters(), config.options),
      order_(backend.device(), static_cast<std::size_t>(images.training.count) * sizeof(std::int32_t),
             backend.stream()),
      losses_(backend.device(), static_cast<std::size_t>(steps_per_epoch()) * sizeof(double),
              backend.stream()) {
  network_.initialise(config.seed);
}

std::int64_t Trainer::steps_per_epoch() const {
  return (identity_.images + identity_.batch_size - 1) / identity_.batch_size;
}

void Trainer::restore(const Checkpoint& checkpoint) {
  require_same("--optimizer", checkpoint.run.optimizer, identity_.optimizer);
  require_same("the layers", widths_text(checkpoint.run.widths), widths_text(identity_.widths));
  require_same("--batch-size", checkpoint.run.batch_size, identity_.batch_size);
  require_same("--seed", checkpoint.run.seed, identity_.seed);
  require_same("a training set of size", checkpoint.run.images, identity_.images);
  network_.write(checkpoint.parameters);
  optimizer_.load_state_dict(checkpoint.optimizer, backend_.stream());
  step_ = checkpoint.step;
  fetched_ = step_;
  if (step_ % steps_per_epoch() != 0) draw_order();
}

Checkpoint Trainer::checkpoint() const {
  return {.run = identity_,
          .step = step_,
          .parameters = network_.read(),
          .optimizer = optimizer_.state_dict(backend_.stream())};
}

void Trainer::draw_order() {
  std::vector<std::int32_t> order(static_cast<std::size_t>(identity_.images));
  std::iota(order.begin(), order.end(), 0);
  Random random(identity_.seed, Random::Purpose::order,
                static_cast<std::uint64_t>(step_ / steps_per_epoch()));
  shuffle(std::span(order), random);
  onepass::copy({backend_.device(), order_.data()}, {onepass::Device::cpu(), order.data()},
                order.size() * sizeof(std::int32_t), backend_.stream());
}

void Trainer::take_step() {
  const std::int64_t in_epoch = step_ % steps_per_epoch();
  if (in_epoch == 0) draw_order();
  const std::int64_t first = in_epoch * identity_.batch_size;
  const std::int64_t rows = std::min(identity_.batch_size, identity_.images - first);

  backend_.gather(images_.training, order_.as<std::int32_t>() + first, network_.input(rows),
                  network_.labels());
  network_.forward(rows);
  network_.backward(rows, losses_.as<double>() + in_epoch);
  backend_.start_clock();
  optimizer_.step(backend_.stream());
  backend_.stop_clock();
  ++step_;
}

/// Appends the losses of the steps since the last call; they are all of one epoch.
void Trainer::fetch_losses(History& history) {
  if (fetched_ == step_) return;
  const std::int64_t first = fetched_ % steps_per_epoch();
  std::vector<double> losses(static_cast<std::size_t>(step_ - fetched_));
  onepass::copy({onepass::Device::cpu(), losses.data()}, {backend_.device(), losses_.as<double>() + first},
                losses.size() * sizeof(double), backend_.stream());
  for (const double loss : losses) {
    ++fetched_;
    if (!std::isfinite(loss)) {
      throw Failure(
          fmt::format("{} with --lr {} has diverged: the loss of step {} is not finite; try a smaller rate",
                      kind_.title, identity_.lr, fetched_));
    }
  }
  history.losses.insert(history.losses.end(), losses.begin(), losses.end());
}

Score Trainer::test() {
  const DeviceImages& images = images_.test;
  const std::int64_t batches = (images.count + kTestRows - 1) / kTestRows;
  const onepass::Device device = backend_.device();
  const onepass::Stream stream = backend_.stream();
  const auto count = static_cast<std::size_t>(batches);
  const onepass::DeviceBuffer losses(device, count * sizeof(double), stream);
  const onepass::DeviceBuffer correct(device, count * sizeof(std::int64_t), stream);
  const onepass::DeviceBuffer order(device, static_cast<std::size_t>(images.count) * sizeof(std::int32_t),
                                    stream);
  std::vector<std::int32_t> in_file_order(static_cast<std::size_t>(images.count));
  std::iota(in_file_order.begin(), in_file_order.end(), 0);
  onepass::copy({device, order.data()}, {onepass::Device::cpu(), in_file_order.data()}, order.bytes(),
                stream);

  for (std::int64_t i = 0; i < batches; ++i) {
    const std::int64_t rows = std::min(kTestRows, images.count - i * kTestRows);
    backend_.gather(images, order.as<std::int32_t>() + i * kTestRows, network_.input(rows),
                    network_.labels());
    network_.forward(rows);
    network_.score(rows, losses.as<double>() + i, correct.as<std::int64_t>() + i);
  }
  std::vector<double> loss(count);
  std::vector<std::int64_t> right(count);
  onepass::copy({onepass::Device::cpu(), loss.data()}, {device, losses.data()}, losses.bytes(), stream);
  onepass::copy({onepass::Device::cpu(), right.data()}, {device, correct.data()}, correct.bytes(), stream);

  Score score;
  for (std::int64_t i = 0; i < batches; ++i) {
    const auto rows = static_cast<double>(std::min(kTestRows, images.count - i * kTestRows));
    score.loss += loss[static_cast<std::size_t>(i)] * rows / static_cast<double>(images.count);
    score.accuracy +=
        static_cast<double>(right[static_cast<std::size_t>(i)]) / static_cast<double>(images.count);
  }
  return score;
}

History Trainer::run(std::int64_t steps, const Listener& listener) {
  History history;
  history.title = kind_.title;
  history.lr = identity_.lr;
  history.first_step = step_;
  const std::int64_t last = step_ + steps;
  backend_.read_clock();
  const Clock::time_point start = Clock::now();
  Clock::time_point epoch_start = start;
  std::size_t epoch_begin = 0;
  while (step_ < last) {
    take_step();
    const bool epoch_ends = step_ % steps_per_epoch() == 0 || step_ == last;
    if (!epoch_ends && !listener.wants_progress()) continue;
    fetch_losses(history);
    listener.on_progress(step_, history.losses.back());
    if (!epoch_ends) continue;

    const std::span in_epoch = std::span(history.losses).subspan(epoch_begin);
    const double sum = std::accumulate(in_epoch.begin(), in_epoch.end(), 0.0);
    history.epochs.push_back({.epoch = (step_ - 1) / steps_per_epoch() + 1,
                              .last_step = step_,
                              .training_loss = sum / static_cast<double>(in_epoch.size()),
                              .test = test(),
                              .seconds = seconds_since(epoch_start)});
    listener.on_epoch(history.epochs.back());
    epoch_begin = history.losses.size();
    epoch_start = Clock::now();
  }
  history.update_seconds = backend_.read_clock();
  history.total_seconds = seconds_since(start);
  return history;
}

}  // namespace train
