// optimizer.cpp - the table of optimizers, and the calls that are passed on to the chosen one.
#include "training/optimizer.hpp"

#include <fmt/format.h>

#include <algorithm>
#include <array>
#include <cmath>

#include "errors.hpp"
#include "training/precision.hpp"
#include "training/schedule.hpp"

namespace train {
namespace {

const std::array kKinds{
    OptimizerKind{"sgd", "SGD", onepass::SGD{.lr = 0.05}},
    OptimizerKind{"momentum", "Momentum", onepass::SGD{.lr = 0.02, .momentum = 0.9}},
    OptimizerKind{"nesterov", "Nesterov", onepass::SGD{.lr = 0.02, .momentum = 0.9, .nesterov = true}},
    OptimizerKind{"rmsprop", "RMSProp", onepass::RMSProp{.lr = 5e-4}},
    OptimizerKind{"rmsprop-centered", "RMSProp centered", onepass::RMSProp{.lr = 5e-4, .centered = true}},
    OptimizerKind{"adam", "Adam", onepass::Adam{.lr = 1e-3}},
    OptimizerKind{"amsgrad", "AMSGrad", onepass::Adam{.lr = 1e-3, .amsgrad = true}},
    OptimizerKind{"adamw", "AdamW", onepass::AdamW{.lr = 1e-3, .weight_decay = 1e-2}},
};

constexpr double kWholeStep = 64.0;  // images in a step from which the rates above are suitable

constexpr std::array<std::string_view, 5> kCompared{"sgd", "momentum", "rmsprop", "adam", "adamw"};

}  // namespace

std::span<const OptimizerKind> optimizer_kinds() { return kKinds; }
std::span<const std::string_view> compared_kinds() { return kCompared; }

const OptimizerKind* find_kind(std::string_view name) {
  const auto found = std::ranges::find(kKinds, name, &OptimizerKind::name);
  return found == kKinds.end() ? nullptr : &*found;
}

std::string describe(const OptimizerKind& kind) {
  const double decay = weight_decay_of(kind.rule);
  return fmt::format("{}, lr {:g}{}", kind.title, lr_of(kind.rule),
                     decay > 0.0 ? fmt::format(", weight decay {:g}", decay) : "");
}

double lr_of(const AnyRule& rule) {
  return std::visit([](const auto& r) { return r.lr; }, rule);
}

double weight_decay_of(const AnyRule& rule) {
  return std::visit([](const auto& r) { return r.weight_decay; }, rule);
}

AnyRule make_rule(const Settings& settings) {
  const OptimizerKind* kind = find_kind(settings.optimizer);
  if (kind == nullptr) throw UsageError(fmt::format("there is no optimizer '{}'", settings.optimizer));
  const double share = std::min(1.0, static_cast<double>(settings.images_per_step()) / kWholeStep);
  const double scale = std::holds_alternative<onepass::SGD>(kind->rule) ? share : std::sqrt(share);
  AnyRule rule = kind->rule;
  std::visit(
      [&](auto& r) {
        r.lr = settings.lr.value_or(scale * r.lr);
        r.weight_decay = settings.weight_decay.value_or(r.weight_decay);
        r.l1 = settings.l1;
        r.l1_mode = settings.l1_mode;
      },
      rule);
  return rule;
}

AnyOptimizer::AnyOptimizer(const Settings& settings, const std::vector<onepass::Parameter>& parameters,
                           const onepass::Options& options, onepass::Stream stream)
    : held_(std::visit(
          [&](const auto& rule) -> Held {
            onepass::Options own = options;
            own.accumulates_gradients = settings.accumulate > 1;
            own.storage = storage_of(settings);
            own.seed = settings.seed;
            return onepass::Optimizer{rule, parameters, own};
          },
          make_rule(settings))) {
  std::visit(
      [&](auto& optimizer) {
        optimizer.set_schedule(make_schedule(settings));
        if (settings.clip) optimizer.clip_grad_norm(*settings.clip, stream);
      },
      held_);
}

void AnyOptimizer::step(onepass::Stream stream) {
  std::visit([&](auto& optimizer) { optimizer.step(stream); }, held_);
}

void AnyOptimizer::accumulate(onepass::Stream stream) {
  std::visit([&](auto& optimizer) { optimizer.accumulate(stream); }, held_);
}

double AnyOptimizer::lr(onepass::Stream stream) const {
  return std::visit([&](const auto& optimizer) { return optimizer.lr(0, stream); }, held_);
}

void AnyOptimizer::change_lr(const Settings& settings, onepass::Stream stream) {
  std::visit(
      [&](auto& optimizer) {
        optimizer.set_lr(*settings.lr, stream);
        optimizer.set_schedule(
            make_schedule(settings));  // the rates of one-cycle do not scale with the base rate
      },
      held_);
}

double AnyOptimizer::penalty(onepass::Stream stream) const {
  return std::visit([&](const auto& optimizer) { return optimizer.penalty(stream); }, held_);
}

std::vector<onepass::StreamBytes> AnyOptimizer::memory() const {
  return std::visit([](const auto& optimizer) { return optimizer.memory(); }, held_);
}

onepass::StateDict AnyOptimizer::state_dict(onepass::Stream stream) const {
  return std::visit([&](const auto& optimizer) { return optimizer.state_dict(stream); }, held_);
}

void AnyOptimizer::load_state_dict(const onepass::StateDict& dict, onepass::Stream stream) {
  std::visit([&](auto& optimizer) { optimizer.load_state_dict(dict, stream); }, held_);
}

}  // namespace train
