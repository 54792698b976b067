// schedules.cpp - learning-rate schedules: composed, evaluated at any step, and driven by a metric.
#include <cmath>
#include <cstdint>
#include <cstdio>
#include <cstdlib>
#include <onepass/onepass.hpp>
#include <vector>

int main() {
  // [compose]
  using namespace onepass;
  const Schedule schedule =
      SequentialLR{.schedules = {WarmUp{.steps = 500}, CosineAnnealingLR{.T_max = 9500, .eta_min = 1e-5}},
                   .milestones = {500}};

  const double first = schedule.lr(3e-4, 0);      // 0: the warm-up begins
  const double peak = schedule.lr(3e-4, 500);     // 3e-4: 500 steps are done, the cosine is at its own step 0
  const double last = schedule.lr(3e-4, 10'000);  // 1e-5
  // [/compose]

  // [momentum]
  const Schedule cycle = OneCycleLR{.max_lr = 0.1, .total_steps = 1000};
  const Rates top = cycle.rates(0.0, 299);  // .lr = 0.1, .momentum = 0.85, .drives_momentum = true
  // [/momentum]

  // [function]
  const Schedule inverse_root = LambdaLR{
      .lr_lambda = [](std::int64_t step) { return step < 100 ? 1.0 : 10.0 / std::sqrt(double(step)); },
      .steps = 10'000};
  // [/function]

  std::vector<float> weights(4, 1.0f), grad(4, 0.5f);
  Optimizer optimizer{SGD{.lr = 0.1},
                      std::vector<Parameter>{{.name = "weights", .value = weights, .grad = grad}}};
  const auto validate = [](int epoch) { return epoch < 5 ? 1.0 / (1 + epoch) : 0.2; };
  // [plateau]
  ReduceLROnPlateau plateau{.factor = 0.5, .patience = 2};
  for (int epoch = 0; epoch < 9; ++epoch) {
    optimizer.step();
    const double loss = validate(epoch);  // 1, 1/2, 1/3, 1/4, 1/5, and then it stays
    plateau.step(loss, optimizer);        // sets the rate of every group: 0.05 after the third epoch in vain
  }
  // [/plateau]

  std::printf("%g %g %g, %g at %g, %g, %g\n", first, peak, last, top.lr, top.momentum,
              inverse_root.lr(1.0, 400), optimizer.rule().lr);
  const bool right = first == 0.0 && peak == 3e-4 && last == 1e-5 && top.lr == 0.1 && top.drives_momentum &&
                     inverse_root.lr(1.0, 400) == 0.5 && optimizer.rule().lr == 0.05;
  return right ? EXIT_SUCCESS : EXIT_FAILURE;
}
