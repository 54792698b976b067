// references.hpp - the references of all rules, by name.
#pragma once

#include <cstdint>
#include <functional>
#include <span>
#include <string_view>
#include <vector>

#include "reference/shared.hpp"

namespace reference {

/// Takes step t of one tensor: changes the elements, given their gradients.
using Step = std::function<void(std::int64_t t, std::span<Element>, std::span<const Number> gradients)>;

/// The reference of one rule. It is a class of the rule's name, in the header of the rule's stem, with
///
///     explicit AdamW(const Settings& settings);       // reads all hyperparameters
///     void step(std::int64_t t, std::span<Element> elements, std::span<const Number> gradients) const;
///     static std::vector<Option> options();           // at least one for each set of states
struct Reference {
  std::string_view name;  ///< "AdamW"
  std::vector<Option> (*options)();
  Step (*make)(const Settings& settings);
};

/// The references of all rules, in the order in which CMake adds the rules to the library.
std::span<const Reference> references();

/// Returns the reference of a rule. Throws std::invalid_argument if there is none.
const Reference& reference_of(std::string_view rule);

}  // namespace reference
