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
#include "text.hpp"

namespace train {

/// Every field is an option of the command line. What is empty follows from the others (resolve()).
struct Settings {
  std::string optimizer = "adamw";             ///< A name in optimizer_kinds().
  std::optional<double> lr;                    ///< Else the kind's own, for the batch size.
  std::optional<double> weight_decay;          ///< Else the kind's own.
  Activation activation = Activation::relu;    ///< Behind each hidden layer.
  std::vector<std::int64_t> hidden{256, 128};  ///< Widths of the hidden layers.
  std::int64_t batch_size = 64;                ///< Images in a step; 0: all of them.
  std::uint64_t seed = 1;                      ///< Of weights and order.
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

/// With every field filled in, for `images` training images. Throws UsageError where fields contradict each
/// other or the data.
Settings resolve(Settings settings, std::int64_t images);

}  // namespace train
