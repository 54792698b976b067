// optimizer.hpp - which optimizer: chosen by name at run time, compiled once per rule.
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

/// A name on the command line and what it stands for. The rates are good ones for batches of 64 and more.
struct OptimizerKind {
  std::string_view name;   ///< "adamw"
  std::string_view title;  ///< "AdamW"
  AnyRule rule;
};

/// Every kind, in the order of --help.
std::span<const OptimizerKind> optimizer_kinds();
/// Those that --compare trains where it is given no configurations.
std::span<const std::string_view> compared_kinds();
/// nullptr if there is none of this name.
const OptimizerKind* find_kind(std::string_view name);

/// What --list says of it: "AdamW, lr 0.001, weight decay 0.01".
std::string describe(const OptimizerKind& kind);

double lr_of(const AnyRule& rule);
double weight_decay_of(const AnyRule& rule);

/// The kind's rule with the settings' rates. Where no lr is given, a step of fewer than 64 images, whose
/// gradient is noisier, has a smaller one: in proportion for SGD (Goyal et al. 2017, arXiv 1706.02677), by
/// the root for the rules that divide by the gradient's size (Malladi et al. 2022, arXiv 2205.10287).
AnyRule make_rule(const Settings& settings);

/// An onepass::Optimizer of whichever rule was chosen, with the settings' schedule, clipping and storage.
class AnyOptimizer {
 public:
  /// Of resolved settings. Masters begin as the parameters are now.
  AnyOptimizer(const Settings& settings, const std::vector<onepass::Parameter>& parameters,
               const onepass::Options& options, onepass::Stream stream);

  void step(onepass::Stream stream);
  /// Where the settings have several batches in a step.
  void accumulate(onepass::Stream stream);
  /// The learning rate of the next step. Waits for the stream.
  [[nodiscard]] double lr(onepass::Stream stream) const;
  /// Makes another rate the one that the schedule starts from. Waits.
  void change_lr(const Settings& settings, onepass::Stream stream);
  /// Of weight decay in the gradient and L1, as onepass::Optimizer::penalty. Waits for the stream.
  [[nodiscard]] double penalty(onepass::Stream stream) const;
  /// Bytes of each stream, as onepass::Optimizer::memory.
  [[nodiscard]] std::vector<onepass::StreamBytes> memory() const;
  [[nodiscard]] onepass::StateDict state_dict(onepass::Stream stream) const;
  void load_state_dict(const onepass::StateDict& dict, onepass::Stream stream);

 private:
  using Held = std::variant<onepass::Optimizer<onepass::SGD>, onepass::Optimizer<onepass::RMSProp>,
                            onepass::Optimizer<onepass::Adam>, onepass::Optimizer<onepass::AdamW>>;
  Held held_;
};

}  // namespace train
