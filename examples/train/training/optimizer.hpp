// optimizer.hpp - the optimizers by name: the rules of the library, and presets of them.
#pragma once

#include <optional>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "onepass/optimizer.hpp"
#include "training/settings.hpp"

namespace train {

/// A rule with hyperparameters, and its name on the command line. The learning rates suit steps of 64 images
/// and more.
struct OptimizerKind {
  std::string name;   ///< "adamw"
  std::string title;  ///< "AdamW"
  onepass::Rule rule;
  bool is_preset_of_library = false;  ///< As "lamb.apex": a preset that the rule lists.
};

/// Returns every rule of the library, under its name in lower case, the presets of the table, and those of
/// the library, such as "lamb.apex", in the order of --help.
std::span<const OptimizerKind> optimizer_kinds();
/// Returns the names that --compare trains if it is given no configurations.
std::span<const std::string_view> compared_kinds();
/// Returns nullptr for an unknown name.
const OptimizerKind* find_kind(std::string_view name);

/// Returns the text of --list: the learning rate and the hyperparameters that differ from the rule's
/// defaults, as in "Momentum, lr 0.02, momentum 0.9".
std::string describe(const OptimizerKind& kind);

/// Returns the kind's rule with the settings' hyperparameters. If no lr is given, steps of fewer than 64
/// images have a smaller one, because their gradient is noisier: in proportion to the images for SGD (Goyal
/// et al. 2017, arXiv 1706.02677), and to their square root for the other rules (Malladi et al. 2022, arXiv
/// 2205.10287). Throws UsageError, which names the option, for a hyperparameter that the rule does not have
/// or that is out of range.
onepass::Rule make_rule(const Settings& settings);

/// Makes an optimizer of the chosen rule, with the settings' schedule, clipping and storage. The settings
/// must be resolved. Masters start from the current values of the parameters.
onepass::Optimizer make_optimizer(const Settings& settings, const std::vector<onepass::Parameter>& parameters,
                                  const onepass::Options& options, onepass::Stream stream);

/// Returns where the second pass of each step is, or nothing if a step has one pass. Throws UsageError if the
/// settings ask for SAM and ASAM.
std::optional<onepass::Sam> sam_of(const Settings& settings);

/// Returns Lookahead as the settings ask for it, or nothing. Throws UsageError if the precision cannot take
/// it.
std::optional<onepass::Lookahead> lookahead_of(const Settings& settings);

/// Throws UsageError if a hyperparameter differs that decides which states the rule has.
void require_same_states(const Settings& saved, const Settings& asked);
/// Changes the hyperparameters that differ between the settings of a saved run, whose state dict the
/// optimizer has loaded, and those of the run that continues it. The others stay as they were saved.
void change_hyperparameters(onepass::Optimizer& optimizer, const Settings& saved, const Settings& asked,
                            onepass::Stream stream);

}  // namespace train
