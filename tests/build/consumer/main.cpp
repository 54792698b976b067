// main.cpp - takes steps with a rule of the library and with a rule of this project.
#include <onepass/onepass.hpp>

#include <cstdio>
#include <vector>

#include "sign_sgd.hpp"

int main() {
  std::vector<float> weight{1.0f, 2.0f, 3.0f};
  std::vector<float> grad{0.5f, 0.0f, -0.5f};
  const std::vector<onepass::Parameter> parameters{{"weight", weight, grad}};

  onepass::Optimizer sgd{onepass::SGD{.lr = 0.5}, parameters};
  sgd.step();
  if (weight != std::vector{0.75f, 2.0f, 3.25f}) return 1;

  onepass::Optimizer own{mine::SignSGD{.lr = 0.25}, parameters};
  own.step();
  own.step();
  const auto* const zeros = static_cast<const float*>(own.state("weight", "zero_count").data);
  if (weight != std::vector{0.25f, 2.0f, 3.75f} || zeros[0] != 0.0f || zeros[1] != 2.0f) return 2;

  std::puts("consumer: both rules have moved the weights");
  return 0;
}
