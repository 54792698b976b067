// checkpoint.hpp - a training run in a file, to be continued bit for bit.
#pragma once

#include <cstdint>
#include <filesystem>
#include <string>
#include <vector>

#include "model/network.hpp"
#include "onepass/optimizer_core.hpp"
#include "onepass/random/random_state.hpp"
#include "training/settings.hpp"

namespace train {

/// A setting as text: the name of its option and its value. A program with more settings reads older files.
struct SavedSetting {
  std::string option;
  std::string text;
};

/// First weights and orders are drawn from the seed and the position alone, so dropout's is the only state of
/// a generator.
struct Checkpoint {
  std::vector<SavedSetting> settings;
  std::int64_t images = 0;  ///< In the training set.
  std::int64_t step = 0;    ///< Steps taken.
  std::vector<NamedValues> parameters;
  onepass::StateDict optimizer;
  onepass::RandomPosition dropout;
};

/// Every setting that is not empty.
std::vector<SavedSetting> save_settings(const Settings& settings);
/// Throws Failure where this program has no such setting or cannot read its value.
Settings load_settings(const std::vector<SavedSetting>& saved);

/// Writes to a file beside `path` and renames it, so that `path` is never half written. Throws Failure.
void save_checkpoint(const Checkpoint& checkpoint, const std::filesystem::path& path);

/// Throws Failure if the file is missing, another kind, another version, cut off or damaged.
Checkpoint load_checkpoint(const std::filesystem::path& path);

}  // namespace train
