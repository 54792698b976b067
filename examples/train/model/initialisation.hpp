// initialisation.hpp - how the first weights are drawn: the table of --init.
#pragma once

#include <span>
#include <string_view>

#include "model/activation.hpp"
#include "onepass/initializers/initialize.hpp"

namespace train {

/// A name on the command line and what it stands for. The activation matters to `orthogonal` alone: the
/// others are their papers', so that a wrong choice shows.
struct Initialisation {
  std::string_view name;
  std::string_view meaning;
  onepass::Initializer (*make)(Activation);
};

/// All of them, in the order of --help.
std::span<const Initialisation> initialisations();
/// nullptr if there is none of this name.
const Initialisation* find_initialisation(std::string_view name);

}  // namespace train
