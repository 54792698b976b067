// state_dict.hpp - the state of an optimizer on the host, to be saved and restored.
#pragma once

#include <cstddef>
#include <cstdint>
#include <string>
#include <vector>

#include "onepass/schedules/schedule.hpp"
#include "onepass/tensor.hpp"

namespace onepass {

/// One state of one parameter, with the bytes it has in memory.
struct SavedState {
  std::string name;  ///< PyTorch's name, such as "exp_avg".
  DType dtype = DType::float32;
  std::vector<std::byte> bytes;
};

/// The saved state of one parameter.
struct SavedParameter {
  std::string name;
  std::int64_t step = 0;  ///< Steps that the parameter has taken.
  std::vector<SavedState> states;
  std::int64_t accumulated = 0;         ///< Micro-batches accumulated since the last step.
  std::vector<std::byte> gradient_sum;  ///< Their float32 gradient sum; empty if `accumulated` is 0.
};

/// One hyperparameter: "beta2" and "0.95"; see Rule::text().
struct SavedHyperparameter {
  std::string name;
  std::string value;

  bool operator==(const SavedHyperparameter&) const = default;
};

/// The rule of one parameter group, with all its hyperparameters.
struct SavedGroup {
  std::string rule;  ///< Name of the rule, such as "AdamW".
  std::vector<SavedHyperparameter> hyperparameters;

  bool operator==(const SavedGroup&) const = default;
};

/// The whole state of an optimizer. All counts lie in [0, 2^53].
struct StateDict {
  std::vector<SavedGroup> groups;  ///< If empty, loading keeps the hyperparameters.
  std::int64_t steps = 0;  ///< Steps taken, skipped ones excluded; schedules are evaluated at this count.
  std::int64_t skipped_steps = 0;
  std::int64_t micro_batches = 0;   ///< Micro-batches accumulated since the last step.
  double accumulated_weight = 0.0;  ///< Sum of their weights; 0 in dicts where each of them weighs 1.
  float window_scale = 0.0f;        ///< Shared loss scale that their sums have; 0 without a SharedLossScaler.
  std::int64_t dropped_micro_batches = 0;  ///< Those that drop_nonfinite dropped.
  std::int64_t dropped_since_step = 0;  ///< Those of them since the last step; a loss scaler will back off.
  float loss_scale = 0.0f;  ///< Current scale of the loss scaler, which is never 0; 0 without a loss scaler.
  std::int64_t growth_tracker = 0;  ///< Steps since the loss scale last changed.
  std::uint64_t seed = 0;           ///< Seed of stochastic rounding.
  std::vector<Schedule> schedules;  ///< Schedule of each group; if empty, loading keeps the schedules.
  std::vector<SavedParameter> parameters;

  // Dicts saved before `groups` existed have these instead. Loading reads them; state_dict() leaves them
  // empty.
  std::string rule;         ///< Name of the rule of all groups.
  std::vector<double> lrs;  ///< Base learning rate of each group.
};

/// The handling of a parameter of the optimizer that the dict lacks.
enum class Missing : std::uint8_t {
  refuse,  ///< It throws InvalidArgument.
  keep,    ///< The parameter keeps its states and its counts.
};

/// The handling of a parameter that the dict has and the optimizer has not.
enum class Unexpected : std::uint8_t {
  refuse,  ///< It throws InvalidArgument.
  ignore,  ///< It leaves the parameter out.
};

/// How a state dict is loaded that was saved with other parameters. The defaults are strict.
struct LoadOptions {
  Missing missing = Missing::refuse;
  Unexpected unexpected = Unexpected::refuse;

  bool operator==(const LoadOptions&) const = default;
};

/// Names of the parameters that only one side has: the missing_keys and unexpected_keys of PyTorch's
/// load_state_dict(). Both are empty if the options are strict.
struct LoadedDict {
  std::vector<std::string> missing;     ///< The optimizer's alone, in the order of registration.
  std::vector<std::string> unexpected;  ///< The dict's alone, in the order of the dict.
};

}  // namespace onepass
