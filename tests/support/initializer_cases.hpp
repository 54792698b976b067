// initializer_cases.hpp - one initializer of each kind, with a shape that it accepts.
#pragma once

#include <string>
#include <vector>

#include "onepass/initializers/initialize.hpp"

namespace onepass::test {

struct InitializerCase {
  std::string name;
  Initializer initializer;
  std::vector<std::int64_t> shape;
};

/// Each tensor has 2,501 to 10,003 elements: several turns of every loop, and a tail.
inline std::vector<InitializerCase> initializer_cases() {
  using namespace initializers;  // NOLINT: all of them
  return {{"constant", Constant{0.3}, {10'001}},
          {"uniform", Uniform{-1.0, 3.0}, {9'999}},
          {"normal", Normal{0.5, 2.0}, {10'003}},
          {"truncated_normal", TruncatedNormal{.std = 0.7, .a = -1.0, .b = 3.0}, {7'013}},
          {"truncated_tail", TruncatedNormal{.a = 7.5, .b = 9.0}, {2'501}},
          {"kaiming", KaimingNormal{}, {33, 3, 7, 13}},
          {"orthogonal", Orthogonal{0.9}, {61, 67}},
          {"dirac", Dirac{3}, {33, 15, 3, 5}}};
}

}  // namespace onepass::test
