// rules.cpp - one optimizer whose groups have rules of different types, given as structs or by name.
#include <cmath>
#include <cstdio>
#include <cstdlib>
#include <onepass/onepass.hpp>
#include <vector>

namespace {

/// The line y = slope * x + intercept, and the gradient of half its mean squared error at four points of
/// y = 2 x + 1.
struct Line {
  std::vector<float> slope{0}, intercept{0};
  std::vector<float> slope_grad{0}, intercept_grad{0};

  std::vector<onepass::Parameter> parameters() {
    return {{.name = "slope", .value = slope, .grad = slope_grad, .group = 0},
            {.name = "intercept", .value = intercept, .grad = intercept_grad, .group = 1}};
  }

  void backward() {
    slope_grad[0] = intercept_grad[0] = 0.0f;
    for (const float x : {0.0f, 1.0f, 2.0f, 3.0f}) {
      const float error = slope[0] * x + intercept[0] - (2.0f * x + 1.0f);
      slope_grad[0] += error * x / 4.0f;
      intercept_grad[0] += error / 4.0f;
    }
  }
};

void train(Line& line, onepass::Optimizer& optimizer) {
  for (int step = 0; step < 500; ++step) {
    line.backward();
    optimizer.step();
  }
  std::printf("y = %.2f x + %.2f\n", line.slope[0], line.intercept[0]);
}

}  // namespace

int main() {
  Line line;
  const std::vector<onepass::Parameter> parameters = line.parameters();
  // [rules]
  onepass::Optimizer optimizer{{onepass::SGD{.lr = 0.1, .momentum = 0.5},         // 0: the slope
                                onepass::AdamW{.lr = 0.1, .weight_decay = 0.0}},  // 1: the intercept
                               parameters};
  // [/rules]
  train(line, optimizer);  // y = 2.00 x + 1.00

  // [by-name]
  onepass::Rule slope = onepass::Rule::named("SGD"), intercept = onepass::Rule::named("AdamW");
  slope.set("lr", 0.1);
  slope.set("momentum", 0.5);
  intercept.set("lr", 0.1);
  intercept.set("weight_decay", 0.0);
  // [/by-name]
  Line again;
  onepass::Optimizer by_name{{slope, intercept}, again.parameters()};
  train(again, by_name);

  const bool fits = std::abs(line.slope[0] - 2.0f) < 0.005f && std::abs(line.intercept[0] - 1.0f) < 0.005f;
  const bool same = line.slope == again.slope && line.intercept == again.intercept;
  return fits && same ? EXIT_SUCCESS : EXIT_FAILURE;
}
