// checkpoint.hpp - a training run in a file, to be continued bit for bit.
#pragma once

#include <cstdint>
#include <filesystem>
#include <string>
#include <vector>

#include "model/network.hpp"
#include "onepass/optimizer_core.hpp"

namespace train {

/// What decides how a run goes on. Weights and orders are drawn from the seed and the position alone
/// (data/random.hpp), so there is no other state of a generator.
struct RunIdentity {
  std::string optimizer;             ///< As on the command line.
  std::vector<std::int64_t> widths;  ///< Of the network, input and classes included.
  std::int64_t images = 0;           ///< In the training set.
  std::int64_t batch_size = 0;       ///< Images in a step.
  std::uint64_t seed = 0;
  double lr = 0.0;
  double weight_decay = 0.0;
};

struct Checkpoint {
  RunIdentity run;
  std::int64_t step = 0;  ///< Steps taken.
  std::vector<NamedValues> parameters;
  onepass::StateDict optimizer;
};

/// Writes to a file beside `path` and renames it, so that `path` is never half written. Throws Failure.
void save_checkpoint(const Checkpoint& checkpoint, const std::filesystem::path& path);

/// Throws Failure if the file is missing, another kind, another version, cut off or damaged.
Checkpoint load_checkpoint(const std::filesystem::path& path);

}  // namespace train
