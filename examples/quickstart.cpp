// quickstart.cpp - the smallest use of onepass: fits a line to points on the CPU.
#include <cmath>
#include <cstdio>
#include <cstdlib>
#include <onepass/onepass.hpp>
#include <vector>

namespace {

/// Computes the gradient of half the mean squared error at four points of y = 2 x + 1.
void gradient(const std::vector<float>& line, std::vector<float>& grad) {
  grad.assign(2, 0.0f);
  for (const float x : {0.0f, 1.0f, 2.0f, 3.0f}) {
    const float error = line[0] * x + line[1] - (2.0f * x + 1.0f);
    grad[0] += error * x / 4.0f;
    grad[1] += error / 4.0f;
  }
}

}  // namespace

int main() {
  // [quickstart]
  std::vector<float> line{0, 0}, grad{0, 0};  // the model, slope and intercept, in memory of your own
  std::vector<onepass::Parameter> parameters{{.name = "line", .value = line, .grad = grad}};
  onepass::Optimizer optimizer{onepass::AdamW{.lr = 0.1, .weight_decay = 0.0}, parameters};

  for (int step = 0; step < 500; ++step) {
    gradient(line, grad);  // your forward and backward
    optimizer.step();      // every parameter of the model, in one pass over memory
  }
  std::printf("y = %.2f x + %.2f\n", line[0], line[1]);  // y = 2.00 x + 1.00
  // [/quickstart]

  const bool fits = std::abs(line[0] - 2.0f) < 0.005f && std::abs(line[1] - 1.0f) < 0.005f;
  return fits ? EXIT_SUCCESS : EXIT_FAILURE;
}
