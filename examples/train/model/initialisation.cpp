// initialisation.cpp - the table of initialisations.
#include "model/initialisation.hpp"

#include <algorithm>
#include <array>

#include "onepass/initializers/gain.hpp"

namespace train {
namespace {

using namespace onepass::initializers;
using onepass::Initializer;

constexpr double kNaive = 0.01;  // as in Krizhevsky et al. 2012, for layers of any size

Nonlinearity nonlinearity(Activation activation) {
  switch (activation) {
    case Activation::relu:
      return Nonlinearity::relu;
    case Activation::tanh:
      return Nonlinearity::tanh;
    case Activation::sigmoid:
      return Nonlinearity::sigmoid;
    case Activation::none:
      break;
  }
  return Nonlinearity::linear;
}

const std::array kInitialisations{
    Initialisation{
        "he-uniform", "uniform, variance 2 / inputs",
        [](Activation) -> Initializer { return KaimingUniform{.nonlinearity = Nonlinearity::relu}; }},
    Initialisation{
        "he-normal", "normal, variance 2 / inputs",
        [](Activation) -> Initializer { return KaimingNormal{.nonlinearity = Nonlinearity::relu}; }},
    Initialisation{"xavier-uniform", "uniform, variance 2 / (inputs + outputs)",
                   [](Activation) -> Initializer { return XavierUniform{}; }},
    Initialisation{"xavier-normal", "normal, variance 2 / (inputs + outputs)",
                   [](Activation) -> Initializer { return XavierNormal{}; }},
    Initialisation{"lecun-uniform", "uniform, variance 1 / inputs",
                   [](Activation) -> Initializer { return LecunUniform{}; }},
    Initialisation{"lecun-normal", "truncated normal, variance 1 / inputs",
                   [](Activation) -> Initializer { return LecunNormal{}; }},
    Initialisation{"orthogonal", "orthogonal, times the activation's gain",
                   [](Activation activation) -> Initializer {
                     return Orthogonal{.gain = calculate_gain(nonlinearity(activation))};
                   }},
    Initialisation{"naive", "normal, deviation 0.01 whatever the layer's size",
                   [](Activation) -> Initializer { return Normal{.std = kNaive}; }},
};

}  // namespace

std::span<const Initialisation> initialisations() { return kInitialisations; }

const Initialisation* find_initialisation(std::string_view name) {
  const auto found = std::ranges::find(kInitialisations, name, &Initialisation::name);
  return found == kInitialisations.end() ? nullptr : &*found;
}

}  // namespace train
