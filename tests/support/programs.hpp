// programs.hpp - groups of different rules beside each other, for tests of the CPU and of CUDA.
#pragma once

#include <string>
#include <vector>

#include "support/model.hpp"

namespace onepass::test {

/// Rules of every type, with different optional states.
inline std::vector<Rule> mixed_rules() {
  return {SGD{.lr = 0.05, .weight_decay = 0.1}, AdamW{.lr = 0.01, .weight_decay = 0.2, .amsgrad = true},
          SGD{.lr = 0.02, .momentum = 0.9, .nesterov = true},
          RMSProp{.lr = 0.003, .momentum = 0.5, .centered = true, .maximize = true},
          Adam{.lr = 0.02, .l1 = 0.3, .l1_mode = L1::subgradient}};
}

/// Three tensors for each of `groups` groups, interleaved so that neighbours have different rules. One is
/// empty.
inline std::vector<Shape> interleaved_shapes(std::size_t groups) {
  std::vector<Shape> shapes;
  for (const std::int64_t numel : {67, 0, 1130}) {
    for (std::size_t group = 0; group < groups; ++group) {
      const std::int64_t more = numel == 0 ? 0 : static_cast<std::int64_t>(group);
      shapes.push_back(
          {.numel = numel + more, .value_misalignment = static_cast<int>(group % 3), .group = group});
    }
  }
  return shapes;
}

/// Leaves of a snapshot the tensors of one group.
inline Snapshot of_group(Snapshot all, const std::vector<Shape>& shapes, std::size_t group) {
  std::erase_if(all, [&](const auto& entry) {
    const std::string tensor = entry.first.substr(0, entry.first.find('.'));
    return shapes[static_cast<std::size_t>(std::stoi(tensor.substr(1)))].group != group;
  });
  return all;
}

/// The same shapes, all in group 0.
inline std::vector<Shape> in_one_group(std::vector<Shape> shapes) {
  for (Shape& shape : shapes) shape.group = 0;
  return shapes;
}

}  // namespace onepass::test
