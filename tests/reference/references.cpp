// references.cpp - see references.hpp. The library of this file has no include path but tests/, which shows
// that the references compile on their own.
#include "reference/references.hpp"

#include <algorithm>
#include <stdexcept>
#include <string>

#include "reference/all_references.hpp"

namespace reference {
namespace {

template <class Rule>
Step make(const Settings& settings) {
  return Step([rule = Rule(settings)](std::span<const TensorStep> tensors) {
    if constexpr (requires { rule.step(tensors); }) {
      rule.step(tensors);
    } else {
      for (const TensorStep& one : tensors) {
        if constexpr (requires { rule.step(one); }) {
          rule.step(one);
        } else {
          rule.step(one.t, one.elements, one.gradients);
        }
      }
    }
  });
}

}  // namespace

std::span<const Reference> references() {
#define REFERENCE(Name) {#Name, Name::options, make<Name>},
  static const Reference all[] = {FOR_EACH_RULE(REFERENCE)};
#undef REFERENCE
  return all;
}

const Reference& reference_of(std::string_view rule) {
  const std::span<const Reference> all = references();
  const auto found = std::ranges::find(all, rule, &Reference::name);
  if (found == all.end()) throw std::invalid_argument("no reference is named " + std::string(rule));
  return *found;
}

}  // namespace reference
