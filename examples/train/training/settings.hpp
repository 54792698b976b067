// settings.hpp - the settings of a training run, and the table that reads, writes and explains them.
#pragma once

#include <cstdint>
#include <functional>
#include <map>
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

/// Every field is an option of the command line. resolve() computes empty fields from the others.
struct Settings {
  std::string optimizer = "adamw";  ///< A name in optimizer_kinds().
  std::optional<double> lr = {};    ///< Empty: the optimizer's default, scaled to the images per step.
  std::optional<double> weight_decay = {};  ///< Empty: the optimizer's default.
  double l1 = 0.0;                          ///< Factor of the penalty l1 * sum |p|.
  onepass::L1 l1_mode = onepass::L1::proximal;
  /// Texts of the other hyperparameters that were given, by name. The others have the optimizer's defaults.
  std::map<std::string, std::string> hyperparameters = {};
  std::string schedule = "constant";                ///< A name in schedule_kinds().
  std::optional<std::int64_t> schedule_steps = {};  ///< Length of the schedule in steps.
  std::int64_t warmup = 0;                          ///< Steps of the warm-up.
  std::optional<double> clip = {};  ///< Largest norm of all gradients together; empty: no clipping.
  bool clips_each = false;          ///< Each parameter's gradient is clipped by its own norm.
  double sam = 0.0;                 ///< How far SAM moves the weights for a second pass; 0: one pass.
  double asam = 0.0;                ///< The same of adaptive SAM. At most one of both is above 0.
  std::int64_t lookahead = 0;     ///< Steps between two moves of Lookahead's slow weights; 0: there are none.
  double lookahead_alpha = 0.5;   ///< Share of the way that they move, in (0, 1].
  std::string precision = "f32";  ///< A name in precision_kinds().
  onepass::Rounding rounding = onepass::Rounding::nearest;  ///< Rounding of parameters without a master.
  Activation activation = Activation::relu;                 ///< Follows each hidden layer.
  std::vector<std::int64_t> hidden{256, 128};               ///< Widths of the hidden layers.
  std::string init = "he-uniform";                          ///< A name in initialisations().
  double dropout = 0.0;          ///< Share of the hidden layers' outputs that is dropped; in [0, 1).
  std::int64_t batch_size = 64;  ///< Images at once; 0: all images.
  std::int64_t accumulate = 1;   ///< Batches in a step.
  std::uint64_t seed = 1;        ///< Seed of weights, order, dropout and rounding.

  /// Only valid if batch_size is not 0.
  [[nodiscard]] std::int64_t images_per_step() const { return batch_size * accumulate; }
};

/// One field of Settings, or one of its hyperparameters. To add a setting, add a field, a row in settings.cpp
/// and the code that uses it; command line, --help, --list, --compare and saved runs work from the rows.
struct Setting {
  std::string option;      ///< "--lr"
  std::string_view value;  ///< Placeholder of the value in --help, as in "RATE".
  std::string help;
  std::function<void(Settings&, std::string_view text)> read;  ///< Throws UsageError for a bad value.
  std::function<std::string(const Settings&)> write;           ///< The inverse of read(); empty if unset.
  std::vector<Choice> choices = {};                            ///< Possible names; empty for other values.
  bool may_change = false;                                     ///< True if a resumed run may change it.
  std::string_view heading = {};  ///< Heading in --help; empty: under the general one.
};

/// Returns all settings in the order of --help.
std::span<const Setting> setting_table();
/// Returns nullptr for an unknown option.
const Setting* find_setting(std::string_view option);

/// A setting and the text of its value.
struct Change {
  const Setting* setting = nullptr;
  std::string text;
};
using Changes = std::vector<Change>;

/// Returns every setting that has a value.
Changes all_settings(const Settings& settings);
void apply(const Changes& changes, Settings& settings);

/// Fills in the fields that follow from the others and from the number of training images. Throws UsageError
/// if fields contradict each other or the data.
Settings resolve(Settings settings, std::int64_t images);

/// The settings must be resolved.
std::int64_t steps_per_epoch(const Settings& settings, std::int64_t images);

}  // namespace train
