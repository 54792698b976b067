// optimizer.hpp - an optimizer that is chosen by name at run time; its step is compiled once per rule.
#pragma once

#include <cstdint>
#include <span>
#include <string>
#include <string_view>
#include <variant>
#include <vector>

#include "onepass/onepass.hpp"
#include "training/settings.hpp"

namespace train {

using AnyRule = std::variant<onepass::SGD, onepass::RMSProp, onepass::Adam, onepass::AdamW>;

/// An optimizer and its name on the command line. The learning rates suit steps of 64 images and more.
struct OptimizerKind {
  std::string_view name;   ///< "adamw"
  std::string_view title;  ///< "AdamW"
  AnyRule rule;
};

/// Returns all kinds in the order of --help.
std::span<const OptimizerKind> optimizer_kinds();
/// Returns the names that --compare trains if it is given no configurations.
std::span<const std::string_view> compared_kinds();
/// Returns nullptr for an unknown name.
const OptimizerKind* find_kind(std::string_view name);

/// Returns the text of --list, as in "AdamW, lr 0.001, weight decay 0.01".
std::string describe(const OptimizerKind& kind);

double lr_of(const AnyRule& rule);
double weight_decay_of(const AnyRule& rule);

/// Returns the kind's rule with the settings' rates. If no lr is given, steps of fewer than 64 images have a
/// smaller one, because their gradient is noisier: in proportion to the images for SGD (Goyal et al. 2017,
/// arXiv 1706.02677), and to their square root for rules that divide by the gradient's size (Malladi et al.
/// 2022, arXiv 2205.10287).
AnyRule make_rule(const Settings& settings);

/// An onepass::Optimizer of the chosen rule, with the settings' schedule, clipping and storage.
class AnyOptimizer {
 public:
  /// The settings must be resolved. Masters start from the current values of the parameters.
  AnyOptimizer(const Settings& settings, const std::vector<onepass::Parameter>& parameters,
               const onepass::Options& options, onepass::Stream stream);

  void step(onepass::Stream stream);
  /// Adds a batch's gradients to the sum; only for settings with several batches per step.
  void accumulate(onepass::Stream stream);
  /// Returns the learning rate of the next step. Waits for the stream.
  [[nodiscard]] double lr(onepass::Stream stream) const;
  /// Makes settings.lr the base rate of the schedule. Waits for the stream.
  void change_lr(const Settings& settings, onepass::Stream stream);
  /// Returns the penalty of coupled weight decay and L1 (onepass::Optimizer::penalty). Waits for the stream.
  [[nodiscard]] double penalty(onepass::Stream stream) const;
  /// Returns the bytes of each stream (onepass::Optimizer::memory).
  [[nodiscard]] std::vector<onepass::StreamBytes> memory() const;
  [[nodiscard]] onepass::StateDict state_dict(onepass::Stream stream) const;
  void load_state_dict(const onepass::StateDict& dict, onepass::Stream stream);

 private:
  using Held = std::variant<onepass::Optimizer<onepass::SGD>, onepass::Optimizer<onepass::RMSProp>,
                            onepass::Optimizer<onepass::Adam>, onepass::Optimizer<onepass::AdamW>>;
  Held held_;
};

}  // namespace train
