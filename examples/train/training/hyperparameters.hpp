// hyperparameters.hpp - the options that the hyperparameters of the library's rules make.
#pragma once

#include <string>
#include <string_view>
#include <vector>

#include "training/settings.hpp"

namespace train {

/// Replaces the underscores of a hyperparameter's name.
std::string written(std::string_view hyperparameter, char separator);
/// Returns the option of a hyperparameter: "--weight-decay-mode".
std::string option_of(std::string_view hyperparameter);

/// Returns a setting for each hyperparameter that any rule of the library lists, in the order of the lists,
/// except for those that have a field of Settings of their own (lr, weight_decay, l1, l1_mode).
std::vector<Setting> hyperparameter_settings();

/// Returns the help of --weight-decay, which says in which optimizers it is decoupled.
std::string weight_decay_help();

}  // namespace train
