// golden_test.cpp - runs of SAM and ASAM around SGD end where they end in float64 (golden/make_sam.py).
#include <gtest/gtest.h>

#include <fstream>
#include <string>

#include "onepass/onepass.hpp"

namespace onepass::test {
namespace {

/// The model of make_sam.py.
struct Line {
  std::vector<float> w1{0.5f, -0.25f, 1.0f}, w2{0.75f}, grad1 = std::vector<float>(3), grad2 = {0.0f};

  void backward() {
    constexpr double kData[4][4] = {
        {1.0, -0.5, 0.25, 0.75}, {-1.5, 0.5, 1.0, -0.25}, {0.5, 2.0, -1.0, 1.5}, {0.25, -1.0, -0.5, 0.0}};
    double of1[3] = {}, of2 = 0.0;
    for (const auto& row : kData) {
      const double hidden = row[0] * w1[0] + row[1] * w1[1] + row[2] * w1[2];
      const double error = w2[0] * hidden - row[3];
      of2 += error * hidden;
      for (int i = 0; i < 3; ++i) of1[i] += error * w2[0] * row[i];
    }
    for (std::size_t i = 0; i < 3; ++i) grad1[i] = static_cast<float>(of1[i]);
    grad2[0] = static_cast<float>(of2);
  }
};

// A step rounds parameters, gradients and buffers, all of magnitudes about 1, some five times by 2^-24.
// Errors of the parameters do not grow while the loss falls, and 20 steps with a momentum of 0.9 sum up to
// ten of the steps before: 20 * 5 * 10 * 2^-24 is 6e-5 at the most. Without the perturbation the runs end
// 1e-3 away or further.
constexpr double kTolerance = 6e-5;

TEST(SamGolden, RunsEndWhereTheyEndInFloat64) {
  std::ifstream file(ONEPASS_SAM_GOLDEN);
  std::string word;
  int steps = 0;
  Sam sam;
  Line line;
  const std::vector<Parameter> parameters{{.name = "w1", .value = line.w1, .grad = line.grad1},
                                          {.name = "w2", .value = line.w2, .grad = line.grad2}};
  Optimizer optimizer(SGD{.lr = 0.02, .momentum = 0.9}, parameters);
  while (file >> word) {
    if (word == "case") {
      ASSERT_TRUE(file >> sam.rho >> sam.adaptive >> sam.eta);
      line.w1 = {0.5f, -0.25f, 1.0f}, line.w2 = {0.75f};
      optimizer = Optimizer(SGD{.lr = 0.02, .momentum = 0.9}, parameters);
      continue;
    }
    int step = 0;
    double golden[4];
    ASSERT_TRUE(file >> step >> golden[0] >> golden[1] >> golden[2] >> golden[3]);
    line.backward();
    optimizer.perturb(sam);
    line.backward();
    optimizer.step();
    for (std::size_t i = 0; i < 3; ++i) EXPECT_NEAR(line.w1[i], golden[i], kTolerance) << "step " << step;
    EXPECT_NEAR(line.w2[0], golden[3], kTolerance) << "step " << step;
    ++steps;
  }
  EXPECT_EQ(steps, 60);
}

}  // namespace
}  // namespace onepass::test
