// initialisation.hpp - the table of --init: distributions of the initial weights.
#pragma once

#include <span>
#include <string_view>

#include "model/activation.hpp"
#include "onepass/initializers/initialize.hpp"

namespace train {

/// An initialisation and its name on the command line. Only `orthogonal` depends on the activation. The
/// others follow their papers regardless of it, so that the effect of a wrong choice is visible.
struct Initialisation {
  std::string_view name;
  std::string_view meaning;
  onepass::Initializer (*make)(Activation);
};

/// Returns all initialisations in the order of --help.
std::span<const Initialisation> initialisations();
/// Returns nullptr for an unknown name.
const Initialisation* find_initialisation(std::string_view name);

}  // namespace train
