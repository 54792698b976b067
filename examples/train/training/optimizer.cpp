// optimizer.cpp - the table of optimizers, and the calls that pass through to the chosen one.
#include "training/optimizer.hpp"

#include <fmt/format.h>

#include <algorithm>
#include <array>
#include <cmath>

#include "errors.hpp"

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

constexpr double kWholeBatch = 64.0;  // images from which the rates above are good ones

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
  const double share = std::min(1.0, static_cast<double>(settings.batch_size) / kWholeBatch);
  const double scale = std::holds_alternative<onepass::SGD>(kind->rule) ? share : std::sqrt(share);
  AnyRule rule = kind->rule;
  std::visit(
      [&](auto& r) {
        r.lr = settings.lr.value_or(scale * r.lr);
        r.weight_decay = settings.weight_decay.value_or(r.weight_decay);
      },
      rule);
  return rule;
}

AnyOptimizer::AnyOptimizer(const Settings& settings, const std::vector<onepass::Parameter>& parameters,
                           const onepass::Options& options)
    : held_(std::visit(
          [&](const auto& rule) -> Held {
            return onepass::Optimizer{rule, parameters, options};
          },
          make_rule(settings))) {}

void AnyOptimizer::step(onepass::Stream stream) {
  std::visit([&](auto& optimizer) { optimizer.step(stream); }, held_);
}

onepass::StateDict AnyOptimizer::state_dict(onepass::Stream stream) const {
  return std::visit([&](const auto& optimizer) { return optimizer.state_dict(stream); }, held_);
}

void AnyOptimizer::load_state_dict(const onepass::StateDict& dict, onepass::Stream stream) {
  std::visit([&](auto& optimizer) { optimizer.load_state_dict(dict, stream); }, held_);
}

}  // namespace train
