// checkpoint.hpp - saves optimizers and their parameters to a file, and loads them.
#pragma once

#include <concepts>
#include <cstdint>
#include <filesystem>
#include <functional>
#include <initializer_list>
#include <map>
#include <string>
#include <utility>
#include <vector>

#include "onepass/optimizer.hpp"
#include "onepass/state_dict.hpp"
#include "onepass/stream.hpp"

namespace onepass {

/// One or several optimizers: an argument of save() and load(). Converts from an optimizer, from a list
/// {actor, critic}, and from a vector of pointers, none of which may be null.
template <class OneOptimizer>
class OptimizerList {
 public:
  OptimizerList(OneOptimizer& one) : all_{&one} {}  // NOLINT: implicit
  OptimizerList(std::initializer_list<std::reference_wrapper<OneOptimizer>> some) {
    for (OneOptimizer& one : some) all_.push_back(&one);
  }
  OptimizerList(std::vector<OneOptimizer*> some) : all_(std::move(some)) {}  // NOLINT: implicit

  [[nodiscard]] const std::vector<OneOptimizer*>& all() const { return all_; }

 private:
  std::vector<OneOptimizer*> all_;
};

/// One or several files: an argument of load(). Converts from a path or its text, from a list
/// {"rank0.safetensors", "rank1.safetensors"}, and from a vector of paths.
class CheckpointFiles {
 public:
  template <std::convertible_to<std::filesystem::path> Path>
  CheckpointFiles(const Path& one) : all_{std::filesystem::path(one)} {}  // NOLINT: implicit
  CheckpointFiles(std::initializer_list<std::filesystem::path> some) : all_(some) {}
  CheckpointFiles(std::vector<std::filesystem::path> some) : all_(std::move(some)) {}  // NOLINT: implicit

  [[nodiscard]] const std::vector<std::filesystem::path>& all() const { return all_; }

 private:
  std::vector<std::filesystem::path> all_;
};

/// Text of the caller's own, by name: "epoch" and "12".
using CheckpointMetadata = std::map<std::string, std::string>;

/// The choices of the caller about what save() writes besides states, counts, hyperparameters and schedules.
struct SaveOptions {
  bool parameters = true;            ///< Whether the parameters' values are written.
  CheckpointMetadata metadata = {};  ///< Not under the names "onepass" and "xxh3", which save() uses.
};

/// The choices of the caller about what load() takes, and about parameters that only one side has.
struct LoadCheckpointOptions {
  Missing missing = Missing::refuse;           ///< Parameters that the file lacks.
  Unexpected unexpected = Unexpected::refuse;  ///< Parameters that the optimizers have not.
  /// Whether a parameter here may be a shard of what the files have: only some of the elements of its tensor.
  /// If not, a parameter with fewer elements is refused as one of another model.
  bool shards = false;
  /// Whether the parameters' values are loaded, and their 16-bit copies (Parameter::copy) made of them.
  /// Without values, a parameter must have the dtype and the master that it had when it was saved.
  bool parameters = true;
};

/// Writes optimizers and their parameters to one file in the safetensors format, which docs/checkpoints.md
/// describes: the values, states, masters or remainders, moving averages and gradient sums as they are in
/// memory, bit for bit; and hyperparameters, schedules, counts, loss scale and seed.
///
/// It writes another file in the same folder, flushes it to the disk and renames it, so `path` is never half
/// written; if anything fails, nothing is left and an old file stays. A gradient is not saved, nor is a
/// SharedLossScaler, whose state() you may put into the metadata. Waits for `stream`.
///
/// Throws InvalidArgument if there is no optimizer; if two parameters have one name, or names between which a
/// '/' would not tell ("a/exp_avg" beside a parameter "a" with that state); if a name or text is no UTF-8; or
/// if the header would be above 100,000,000 bytes, which readers of safetensors refuse. Throws FileError if
/// the file cannot be written, and CudaError.
void save(const std::filesystem::path& path, const OptimizerList<const Optimizer>& optimizers,
          const SaveOptions& options = {}, Stream stream = {});

/// Loads what save() has written. The file must have as many optimizers as `optimizers`, in this order, with
/// the same groups and rules. Hyperparameters, schedules, counts and the seed are restored, and the loss
/// scale as load_state_dict() does.
///
/// Several files are the shards of one model, for example of one rank each. A parameter's name and `first`
/// (Parameter::first) say which elements of the logical tensor it has: every element that an optimizer here
/// has must be in just one of the files, however they were cut. Everything but the elements must be equal in
/// all files. LoadCheckpointOptions::shards allows it to have fewer elements than the files have.
///
/// A parameter may be stored in another format than it was saved in: states of float32, bfloat16 or 8 bits;
/// values with a master, a remainder or neither. Then the number that was stored is decoded to float32,
/// exactly, and rounded to nearest. What has the same format is restored bit for bit.
///
/// All files are read and checked before anything is changed. Waits for `stream`.
///
/// Throws InvalidArgument, and changes nothing, if a file is cut off, is damaged, was not made by save(), has
/// a newer layout, or does not fit the optimizers or the other files; FileError if a file cannot be read;
/// and CudaError.
LoadedDict load(const CheckpointFiles& files, const OptimizerList<Optimizer>& optimizers,
                const LoadCheckpointOptions& options = {}, Stream stream = {});

/// Returns SaveOptions::metadata of a file, for example to make the model that the file is then loaded into.
/// Checks the whole file. Throws as load().
[[nodiscard]] CheckpointMetadata load_metadata(const std::filesystem::path& path);

}  // namespace onepass
