// hyperparameter.hpp - how a rule describes its hyperparameters: name, member, range and meaning.
#pragma once

#include <cstddef>
#include <span>

#include "onepass/rule/check.hpp"

namespace onepass {

/// One hyperparameter of a rule. A rule lists its hyperparameters once, in describe(). Range checks, errors,
/// saved states, the C interface, command lines, the tables of tests and benchmarks, and docs/rules.md are
/// made from that list.
struct Hyperparameter {
  enum class Kind : unsigned char {
    number,  ///< A double.
    flag,    ///< A bool: 0 or 1.
    choice,  ///< An enumerator: an index in `choices`.
  };

  const char* name;     ///< PyTorch's name where PyTorch has the hyperparameter: "beta1", "weight_decay".
  const char* meaning;  ///< One line that says what it does, with units.
  Kind kind;
  Range range;                           ///< The values that a number may have.
  std::span<const char* const> choices;  ///< The names of a choice's values, in the order of the enumerators.
  std::size_t offset;                    ///< Offset of the member in the rule, in bytes.
};

namespace rule {

/// The names of an enumeration's enumerators, which must count from 0 and have the size of unsigned.
/// Specialise it for an enumeration of your own rule.
template <class Enum>
inline constexpr const char* kChoices[] = {""};

/// Stands for any list that a rule may be asked to describe itself to; see ElementwiseRule.
struct AnyList {
  void operator()(const char* name, auto member, const Range& range, const char* meaning);
  void operator()(const char* name, auto member, const char* meaning);
};

}  // namespace rule
}  // namespace onepass
