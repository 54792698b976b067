// checkpoint.hpp - saves a training run to a file, from which it continues bit for bit.
#pragma once

#include <cstdint>
#include <filesystem>
#include <string>
#include <vector>

#include "model/network.hpp"
#include "onepass/random/random_state.hpp"
#include "onepass/state_dict.hpp"
#include "training/settings.hpp"

namespace train {

/// A setting as text: the name of its option and its value. As text, so that a program with new settings
/// still reads older files.
struct SavedSetting {
  std::string option;
  std::string text;
};

/// The content of a saved run. Dropout has the only random state: initial weights and the order of the images
/// depend on the seed and the position alone.
struct Checkpoint {
  std::vector<SavedSetting> settings;
  std::int64_t images = 0;  ///< Number of training images.
  std::int64_t step = 0;    ///< Steps taken.
  std::vector<NamedValues> parameters;
  onepass::StateDict optimizer;
  onepass::RandomPosition dropout;
};

/// Returns every setting that has a value.
std::vector<SavedSetting> save_settings(const Settings& settings);
/// Throws Failure for an unknown setting or a value that this program cannot read.
Settings load_settings(const std::vector<SavedSetting>& saved);

/// Writes to another file beside `path` and renames it, so that `path` is never half written. Throws Failure.
void save_checkpoint(const Checkpoint& checkpoint, const std::filesystem::path& path);

/// Also reads the version before the one that save_checkpoint() writes. Throws Failure if the file is
/// missing, of another kind or version, cut off or damaged.
Checkpoint load_checkpoint(const std::filesystem::path& path);

}  // namespace train
