// references.hpp - the references of all rules, by name.
#pragma once

#include <cstdint>
#include <functional>
#include <span>
#include <string_view>
#include <utility>
#include <vector>

#include "reference/shared.hpp"

namespace reference {

/// Takes a step of all tensors of a model, or of one tensor: changes the elements, given their gradients.
class Step {
 public:
  using Model = std::function<void(std::span<const TensorStep> tensors)>;
  Step(Model model) : model_(std::move(model)) {}  // NOLINT: implicit

  void operator()(std::span<const TensorStep> tensors) const { model_(tensors); }
  void operator()(std::int64_t t, std::span<Element> elements, std::span<const Number> gradients) const {
    const TensorStep one{t, elements, gradients};
    model_({&one, 1});
  }

 private:
  Model model_;
};

/// The reference of one rule. It is a class of the rule's name, in the header of the rule's stem, with
///
///     explicit AdamW(const Settings& settings);       // reads all hyperparameters
///     void step(std::int64_t t, std::span<Element> elements, std::span<const Number> gradients) const;
///     static std::vector<Option> options();           // at least one for each set of states
///
/// A rule that needs the shape of a tensor has `void step(const TensorStep& tensor) const` instead. A rule
/// whose step follows from all tensors has `void step(std::span<const TensorStep> tensors) const`.
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
