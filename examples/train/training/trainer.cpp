// trainer.cpp - the training loop.
#include "training/trainer.hpp"

#include <fmt/format.h>

#include <algorithm>
#include <chrono>
#include <cmath>
#include <numeric>
#include <string_view>

#include "data/random.hpp"
#include "errors.hpp"
#include "model/initialisation.hpp"
#include "training/precision.hpp"
#include "training/schedule.hpp"

namespace train {
namespace {

constexpr std::int64_t kTestRows = 1000;  // images tested at once, independent of the batch size

using Clock = std::chrono::steady_clock;
double seconds_since(Clock::time_point start) {
  return std::chrono::duration<double>(Clock::now() - start).count();
}

template <class T>
void require_same(std::string_view what, const T& saved, const T& asked) {
  if (saved == asked) return;
  throw UsageError(fmt::format("the saved run had {} {}, but this one has {}", what, saved, asked));
}

/// Refuses a saved run whose number of steps is not its optimizer's. The position in the epoch follows from
/// it, and the optimizer checks its own.
void require_steps(const Checkpoint& checkpoint) {
  const std::int64_t steps = checkpoint.optimizer.steps, skipped = checkpoint.optimizer.skipped_steps;
  if (steps >= 0 && skipped >= 0 && checkpoint.step >= steps && checkpoint.step - steps == skipped) return;
  throw Failure(
      fmt::format("the saved run cannot be read: it has taken {} steps, but its optimizer {} and skipped {}",
                  checkpoint.step, steps, skipped));
}

Shape shape_of(const Settings& settings, std::int64_t inputs) {
  Shape shape{.widths = settings.hidden,
              .activation = settings.activation,
              .dropout = settings.dropout,
              .max_rows = std::max(settings.batch_size, kTestRows),
              .dtype = precision_of(settings).dtype};
  shape.widths.insert(shape.widths.begin(), inputs);
  shape.widths.push_back(kClasses);
  return shape;
}

/// Makes a network with its initial weights, because the optimizer's masters start from them.
Network make_network(Backend& backend, const Settings& settings, std::int64_t inputs) {
  const Initialisation* init = find_initialisation(settings.init);
  if (init == nullptr) throw UsageError(fmt::format("there is no initialisation '{}'", settings.init));
  Network network(backend, shape_of(settings, inputs));
  network.initialise(settings.seed, init->make(settings.activation));
  return network;
}

}  // namespace

Trainer::Trainer(Backend& backend, const DeviceDataset& images, const Settings& settings,
                 const onepass::Options& options)
    : backend_(backend),
      images_(images),
      settings_(resolve(settings, images.training.count)),
      network_(make_network(backend, settings_, images.training.size)),
      optimizer_(make_optimizer(settings_, network_.parameters(), options, backend.stream())),
      order_(backend.device(), static_cast<std::size_t>(images.training.count) * sizeof(std::int32_t),
             backend.stream()),
      losses_(backend.device(),
              static_cast<std::size_t>(steps_per_epoch() * settings_.accumulate + 1) * sizeof(double),
              backend.stream()) {}

void Trainer::restore(const Checkpoint& checkpoint) {
  const Settings saved = load_settings(checkpoint.settings);
  for (const Setting& setting : setting_table()) {
    if (!setting.may_change) require_same(setting.option, setting.write(saved), setting.write(settings_));
  }
  require_same("a training set of size", checkpoint.images, images_.training.count);
  require_same_states(saved, settings_);
  require_steps(checkpoint);
  network_.write(checkpoint.parameters);
  network_.restore(checkpoint.dropout);
  optimizer_.load_state_dict(checkpoint.optimizer, backend_.stream());
  change_hyperparameters(optimizer_, saved, settings_, backend_.stream());
  step_ = checkpoint.step;
  fetched_ = step_;
  if (step_ % steps_per_epoch() != 0) draw_order();
}

Checkpoint Trainer::checkpoint() const {
  return {.settings = save_settings(settings_),
          .images = images_.training.count,
          .step = step_,
          .parameters = network_.read(),
          .optimizer = optimizer_.state_dict(backend_.stream()),
          .dropout = network_.random()};
}

void Trainer::draw_order() {
  std::vector<std::int32_t> order(static_cast<std::size_t>(images_.training.count));
  std::iota(order.begin(), order.end(), 0);
  Random random(settings_.seed, static_cast<std::uint64_t>(step_ / steps_per_epoch()));
  shuffle(std::span(order), random);
  onepass::copy({backend_.device(), order_.data()}, {onepass::Device::cpu(), order.data()},
                order.size() * sizeof(std::int32_t), backend_.stream());
}

/// Computes the gradients of the images from `first` on in the epoch's order, which make up `part`.
void Trainer::compute_gradients(std::int64_t first, const Part& part, double* mean_loss) {
  backend_.gather(images_.training, order_.as<std::int32_t>() + first, network_.input(part.rows),
                  network_.labels());
  network_.forward(part);
  network_.backward(part, mean_loss);
}

Trainer::Range Trainer::images_of(std::int64_t step) const {
  const std::int64_t first = step % steps_per_epoch() * settings_.images_per_step();
  return {first, std::min(settings_.images_per_step(), images_.training.count - first)};
}

template <class Work>
void Trainer::timed(Work work) {
  backend_.start_clock();
  work();
  backend_.stop_clock();
}

/// Computes the gradients of a step's images, batch by batch. Batch i of the step writes its mean loss to
/// losses[i * stride].
void Trainer::pass(double* losses, std::int64_t stride) {
  const auto [first, images] = images_of(step_);
  const std::int64_t batch_size = settings_.batch_size;
  const std::int64_t batches = (images + batch_size - 1) / batch_size;
  for (std::int64_t i = 0; i < batches; ++i) {
    const std::int64_t done = i * batch_size;
    const std::int64_t rows = std::min(batch_size, images - done);
    // The step averages over batches, which may differ in size: each is weighted by its number of images.
    const double share = static_cast<double>(rows * batches) / static_cast<double>(images);
    compute_gradients(first + done, {.rows = rows, .first = done, .share = share}, losses + i * stride);
    if (settings_.accumulate > 1) timed([&] { optimizer_.accumulate(backend_.stream()); });
  }
}

void Trainer::take_step() {
  if (step_ % steps_per_epoch() == 0) draw_order();
  const std::int64_t batch = images_of(step_).first / settings_.batch_size;
  pass(losses_.as<double>() + batch, 1);
  if (const std::optional<onepass::Sam> sam = sam_of(settings_)) {
    timed([&] { optimizer_.perturb(*sam, backend_.stream()); });
    // The same images and masks again; the losses that are reported are those of the weights in training.
    pass(losses_.as<double>() + steps_per_epoch() * settings_.accumulate, 0);
  }
  timed([&] { optimizer_.step(backend_.stream()); });
  network_.advance();
  ++step_;
}

/// Returns the mean loss of a step's images, given the losses of the epoch's batches.
double Trainer::mean_loss(std::int64_t step, std::span<const double> of_batches) const {
  const auto [first, images] = images_of(step);
  double mean = 0.0;
  for (std::int64_t done = 0; done < images; done += settings_.batch_size) {
    const std::int64_t rows = std::min(settings_.batch_size, images - done);
    const double share = static_cast<double>(rows) / static_cast<double>(images);
    mean += share * of_batches[static_cast<std::size_t>((first + done) / settings_.batch_size)];
  }
  return mean;
}

/// Appends the losses of the steps since the last call, up to the first that is not finite. These steps are
/// all in one epoch.
void Trainer::fetch_losses(History& history) {
  if (fetched_ == step_) return;
  const auto [last, images] = images_of(step_ - 1);
  const std::int64_t begin = images_of(fetched_).first / settings_.batch_size;
  const std::int64_t end = (last + images + settings_.batch_size - 1) / settings_.batch_size;
  std::vector<double> losses(static_cast<std::size_t>(end));
  onepass::copy({onepass::Device::cpu(), losses.data() + begin},
                {backend_.device(), losses_.as<double>() + begin},
                static_cast<std::size_t>(end - begin) * sizeof(double), backend_.stream());
  while (fetched_ < step_) {
    const double loss = mean_loss(fetched_++, losses);
    if (!std::isfinite(loss)) {
      history.divergence = {fetched_, loss};
      break;
    }
    history.losses.push_back(loss);
  }
}

/// Returns the score on the first `count` images.
Score Trainer::score(const DeviceImages& images, std::int64_t count) {
  const std::int64_t batches = (count + kTestRows - 1) / kTestRows;
  const onepass::Device device = backend_.device();
  const onepass::Stream stream = backend_.stream();
  const auto slots = static_cast<std::size_t>(batches);
  const onepass::DeviceBuffer losses(device, slots * sizeof(double), stream);
  const onepass::DeviceBuffer correct(device, slots * sizeof(std::int64_t), stream);
  const onepass::DeviceBuffer order(device, static_cast<std::size_t>(count) * sizeof(std::int32_t), stream);
  std::vector<std::int32_t> in_file_order(static_cast<std::size_t>(count));
  std::iota(in_file_order.begin(), in_file_order.end(), 0);
  onepass::copy({device, order.data()}, {onepass::Device::cpu(), in_file_order.data()}, order.bytes(),
                stream);

  for (std::int64_t i = 0; i < batches; ++i) {
    const std::int64_t rows = std::min(kTestRows, count - i * kTestRows);
    backend_.gather(images, order.as<std::int32_t>() + i * kTestRows, network_.input(rows),
                    network_.labels());
    network_.forward(rows);
    network_.score(rows, losses.as<double>() + i, correct.as<std::int64_t>() + i);
  }
  std::vector<double> loss(slots);
  std::vector<std::int64_t> right(slots);
  onepass::copy({onepass::Device::cpu(), loss.data()}, {device, losses.data()}, losses.bytes(), stream);
  onepass::copy({onepass::Device::cpu(), right.data()}, {device, correct.data()}, correct.bytes(), stream);

  Score score;
  for (std::size_t i = 0; i < slots; ++i) {
    const std::int64_t rows = std::min(kTestRows, count - static_cast<std::int64_t>(i) * kTestRows);
    score.loss += loss[i] * static_cast<double>(rows) / static_cast<double>(count);
    score.accuracy += static_cast<double>(right[i]) / static_cast<double>(count);
  }
  return score;
}

EpochResult Trainer::finish_epoch(std::span<const double> losses) {
  const double sum = std::accumulate(losses.begin(), losses.end(), 0.0);
  const std::int64_t sample = std::min(images_.training.count, images_.test.count);
  return {.epoch = (step_ - 1) / steps_per_epoch() + 1,
          .last_step = step_,
          .batch_loss = sum / static_cast<double>(losses.size()),
          .train = score(images_.training, sample),
          .test = test(),
          .penalty = optimizer_.penalty(backend_.stream())};
}

History Trainer::run(std::int64_t steps, const Listener& listener) {
  History history;
  history.first_step = step_;
  const std::int64_t last = step_ + steps;
  backend_.read_clock();
  const Clock::time_point start = Clock::now();
  Clock::time_point epoch_start = start;
  std::size_t epoch_begin = 0;
  const bool rate_changes = !is_constant(settings_) || settings_.warmup > 0;
  while (step_ < last) {
    // A constant rate is read only once, because reading it waits for the device.
    history.rates.push_back(rate_changes || history.rates.empty() ? lr() : history.rates.back());
    take_step();
    const bool epoch_ends = step_ % steps_per_epoch() == 0 || step_ == last;
    if (!epoch_ends && !listener.wants_progress()) continue;
    fetch_losses(history);
    if (history.divergence) break;
    listener.on_progress(step_, history.losses.back());
    if (!epoch_ends) continue;

    history.epochs.push_back(finish_epoch(std::span(history.losses).subspan(epoch_begin)));
    history.epochs.back().seconds = seconds_since(epoch_start);
    listener.on_epoch(history.epochs.back());
    epoch_begin = history.losses.size();
    epoch_start = Clock::now();
  }
  if (history.divergence) listener.on_divergence(*history.divergence);
  history.rates.resize(history.losses.size());
  history.zero_weights = network_.count_zero_weights();
  history.update_seconds = backend_.read_clock();
  history.total_seconds = seconds_since(start);
  return history;
}

}  // namespace train
