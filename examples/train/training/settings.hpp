// settings.hpp - how a network is trained: one struct, and one table that reads, writes and explains it.
#pragma once

#include <cstdint>
#include <functional>
#include <optional>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "model/activation.hpp"
#include "onepass/rule/around.hpp"
#include "onepass/storage/storage.hpp"
#include "text.hpp"

namespace train {

/// Every field is an option of the command line. What is empty follows from the others (resolve()).
struct Settings {
  std::string optimizer = "adamw";          ///< A name in optimizer_kinds().
  std::optional<double> lr = {};            ///< Else the kind's own, for the batch size.
  std::optional<double> weight_decay = {};  ///< Else the kind's own.
  double l1 = 0.0;                          ///< Of the penalty l1 * sum |p|.
  onepass::L1 l1_mode = onepass::L1::proximal;
  std::string schedule = "constant";                ///< A name in schedule_kinds().
  std::optional<std::int64_t> schedule_steps = {};  ///< Those that the schedule is laid out for.
  std::int64_t warmup = 0;                          ///< Steps.
  std::optional<double> clip = {};  ///< The largest norm of all gradients together; else none.
  std::string precision = "f32";    ///< A name in precision_kinds().
  onepass::Rounding rounding = onepass::Rounding::nearest;  ///< Of the parameters that a step moves.
  Activation activation = Activation::relu;                 ///< Behind each hidden layer.
  std::vector<std::int64_t> hidden{256, 128};               ///< Widths of the hidden layers.
  std::string init = "he-uniform";                          ///< A name in initialisations().
  double dropout = 0.0;          ///< Share of the hidden layers' outputs; in [0, 1).
  std::int64_t batch_size = 64;  ///< Images at once; 0: all of them.
  std::int64_t accumulate = 1;   ///< Batches in a step.
  std::uint64_t seed = 1;        ///< Of weights, order, dropout and rounding.

  /// Where the batch size is known.
  [[nodiscard]] std::int64_t images_per_step() const { return batch_size * accumulate; }
};

/// One field of Settings. A new one is a field, a row in settings.cpp and the place that obeys it: command
/// line, --help, --list, --compare and saved runs go by the rows.
struct Setting {
  std::string_view option;  ///< "--lr"
  std::string_view value;   ///< What stands for the value in --help: "RATE".
  std::string help;
  std::function<void(Settings&, std::string_view text)> read;  ///< Throws UsageError.
  std::function<std::string(const Settings&)> write;           ///< read()'s inverse; empty where unset.
  std::vector<Choice> choices = {};                            ///< Where the value is one of some names.
  bool may_change = false;                                     ///< When a saved run goes on.
};

/// All of them, in the order of --help.
std::span<const Setting> setting_table();
/// nullptr if there is none of this name.
const Setting* find_setting(std::string_view option);

/// A setting and the text of its value.
struct Change {
  const Setting* setting = nullptr;
  std::string text;
};
using Changes = std::vector<Change>;

/// Every setting that is not empty.
Changes all_settings(const Settings& settings);
void apply(const Changes& changes, Settings& settings);

/// With every field filled in that can be told from the others and the number of training images. Throws
/// UsageError where fields contradict each other or the data.
Settings resolve(Settings settings, std::int64_t images);

/// Of resolved settings.
std::int64_t steps_per_epoch(const Settings& settings, std::int64_t images);

}  // namespace train
