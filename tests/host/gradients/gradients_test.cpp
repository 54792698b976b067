// gradients_test.cpp - steps follow absent and replaced gradients, found_inf and parameters that are added
// late; zero_grad() writes zeros to gradients and to nothing else.
#include <gtest/gtest.h>

#include "support/model.hpp"
#include "support/named.hpp"
#include "support/numbers/compare.hpp"
#include "support/rules.hpp"

namespace onepass::test {
namespace {

class Gradients : public testing::TestWithParam<RuleCase> {};

INSTANTIATE_TEST_SUITE_P(Rules, Gradients, testing::ValuesIn(rule_options()), by_name);

const std::vector<Shape> kShapes{{.numel = 70}, {.numel = 133}, {.numel = 9}};

/// The entries of `all` that belong to tensor `id`.
Snapshot of_tensor(const Snapshot& all, int id) {
  const std::string name = tensor_name(id);
  Snapshot mine;
  for (const auto& [key, values] : all) {
    if (key == name || key.starts_with(name + ".")) mine[key] = values;
  }
  return mine;
}

TEST_P(Gradients, NullGradientLeavesParameterStatesAndStepCountAlone) {
  if (GetParam().ties_parameters()) return;  // sums/model_sums_test.cpp
  Model model(kShapes);
  Optimizer optimizer = GetParam().make(model.parameters(), {});
  train(model, optimizer, 3);
  const Snapshot before = snapshot(model.parameters(), optimizer);

  std::vector<Tensor> gradients = model.gradients();
  gradients[1] = Tensor{};
  optimizer.set_gradients(gradients);
  train(model, optimizer, 2, 4);
  const Snapshot without = snapshot(model.parameters(), optimizer);
  EXPECT_TRUE(equal_bits(of_tensor(before, 1), of_tensor(without, 1)));
  EXPECT_EQ(optimizer.step_count("t0"), 5);
  EXPECT_EQ(optimizer.step_count("t1"), 3);

  // With its gradient back, the tensor takes the step that it would have taken then.
  optimizer.set_gradients(model.gradients());
  train(model, optimizer, 1, 4);
  Model twin(kShapes);
  Optimizer steady = GetParam().make(twin.parameters(), {});
  train(twin, steady, 4);
  EXPECT_TRUE(equal_bits(of_tensor(snapshot(twin.parameters(), steady), 1),
                         of_tensor(snapshot(model.parameters(), optimizer), 1)));
}

TEST_P(Gradients, StepsReadTheGradientsThatWereSetLast) {
  Model model(kShapes), elsewhere(kShapes);
  Optimizer optimizer = GetParam().make(model.parameters(), {});
  train(model, optimizer, 2);
  optimizer.set_gradients(elsewhere.gradients());
  model.draw_gradients(100, 200);  // must not be read any more
  for (int step = 3; step <= 5; ++step) {
    elsewhere.draw_gradients(step, 200);
    optimizer.step();
  }
  Model twin(kShapes);
  Optimizer steady = GetParam().make(twin.parameters(), {});
  train(twin, steady, 5);
  EXPECT_TRUE(equal_bits(snapshot(twin.parameters(), steady), snapshot(model.parameters(), optimizer)));
}

TEST_P(Gradients, StepLeavesGradientsAlone) {
  Model model(kShapes);
  Optimizer optimizer = GetParam().make(model.parameters(), {});
  const std::vector<float> before = model.grad(1).read();
  optimizer.step();
  EXPECT_TRUE(equal_bits(before, model.grad(1).read()));
}

TEST_P(Gradients, FoundInfSkipsTheStep) {
  Model model(kShapes);
  Optimizer optimizer = GetParam().make(model.parameters(), {});
  train(model, optimizer, 2);
  const Snapshot before = snapshot(model.parameters(), optimizer);
  float found_inf = 1.0f;
  optimizer.set_found_inf(&found_inf);
  train(model, optimizer, 3, 50);
  EXPECT_TRUE(equal_bits(before, snapshot(model.parameters(), optimizer)));
  EXPECT_EQ(optimizer.skipped_steps(), 3);

  found_inf = 0.0f;
  train(model, optimizer, 1, 3);
  optimizer.set_found_inf(nullptr);
  train(model, optimizer, 1, 4);
  EXPECT_EQ(optimizer.skipped_steps(), 3);
  Model twin(kShapes);
  Optimizer steady = GetParam().make(twin.parameters(), {});
  train(twin, steady, 4);
  EXPECT_TRUE(equal_bits(snapshot(twin.parameters(), steady), snapshot(model.parameters(), optimizer)));
}

TEST_P(Gradients, LateParametersStartAtStepOne) {
  if (GetParam().ties_parameters()) return;  // sums/model_sums_test.cpp
  Model model(kShapes), late({{.numel = 41, .id = 7}, {.numel = 0, .id = 8}});
  Optimizer optimizer = GetParam().make(model.parameters(), {});
  train(model, optimizer, 4);
  optimizer.add_parameters(late.parameters());
  for (int step = 1; step <= 3; ++step) {
    model.draw_gradients(4 + step, 200);
    late.draw_gradients(step, 200);
    optimizer.step();
  }
  Model twin(kShapes), late_twin({{.numel = 41, .id = 7}, {.numel = 0, .id = 8}});
  Optimizer steady = GetParam().make(twin.parameters(), {});
  Optimizer young = GetParam().make(late_twin.parameters(), {});
  train(twin, steady, 7);
  train(late_twin, young, 3);
  EXPECT_TRUE(equal_bits(snapshot(twin.parameters(), steady), snapshot(model.parameters(), optimizer)));
  EXPECT_TRUE(equal_bits(snapshot(late_twin.parameters(), young), snapshot(late.parameters(), optimizer)));
  EXPECT_TRUE(model.intact());
  EXPECT_TRUE(late.intact());
}

TEST(LateParameters, AddingNoParametersChangesNothing) {
  Model model(kShapes), twin(kShapes);
  Optimizer optimizer(Adam{}, model.parameters());
  Optimizer steady(Adam{}, twin.parameters());
  train(model, optimizer, 1);
  optimizer.add_parameters(std::vector<Parameter>{});
  train(model, optimizer, 1, 2);
  train(twin, steady, 2);
  EXPECT_TRUE(equal_bits(snapshot(twin.parameters(), steady), snapshot(model.parameters(), optimizer)));
}

// The model grows by one tensor at a time. The optimizer has to move its memory and must not lose a state.
TEST(LateParameters, ParametersAddedOneAtATimeTrainAsIfAlone) {
  std::vector<Model> models;
  models.reserve(40);
  models.emplace_back(std::vector<Shape>{{.numel = 5, .id = 0}});
  Optimizer optimizer(Adam{}, models[0].parameters());
  for (int id = 0; id < 40; ++id) {
    if (id > 0) {
      models.emplace_back(std::vector<Shape>{{.numel = 5 + id % 3, .id = id}});
      optimizer.add_parameters(models.back().parameters());
    }
    for (int other = 0; other <= id; ++other)
      models[static_cast<std::size_t>(other)].draw_gradients(1 + id - other, 200);
    optimizer.step();
  }
  for (int id = 0; id < 40; ++id) {
    Model alone(std::vector<Shape>{{.numel = 5 + (id > 0 ? id % 3 : 0), .id = id}});
    Optimizer single(Adam{}, alone.parameters());
    train(alone, single, 40 - id);
    EXPECT_TRUE(equal_bits(snapshot(alone.parameters(), single),
                           snapshot(models[static_cast<std::size_t>(id)].parameters(), optimizer)))
        << "tensor " << id;
  }
}

TEST(ZeroGrad, WritesZerosToGradientsAndNothingElse) {
  Model model({{.numel = 0},
               {.numel = 70, .grad_misalignment = 1},
               {.numel = 3},
               {.numel = 200, .grad_misalignment = 3}});
  Optimizer optimizer(AdamW{}, model.parameters(), {.chunk_size = 64});
  train(model, optimizer, 2);
  const Snapshot before = snapshot(model.parameters(), optimizer);
  optimizer.zero_grad();
  for (std::size_t i = 0; i < model.size(); ++i) {
    const std::vector<float> zeros(static_cast<std::size_t>(model.shape(i).numel), 0.0f);
    EXPECT_TRUE(equal_bits(zeros, model.grad(i).read())) << "tensor " << i;
  }
  EXPECT_TRUE(equal_bits(before, snapshot(model.parameters(), optimizer)));
  EXPECT_TRUE(model.intact());
}

TEST(ZeroGrad, WritesOnlyToTheGradientsThatWereSetLast) {
  Model model({{.numel = 70}, {.numel = 30}});
  Optimizer optimizer(SGD{}, model.parameters());
  const std::vector<float> before = model.grad(0).read();
  optimizer.set_gradients(std::vector<Tensor>{Tensor{}, model.gradients()[1]});
  optimizer.zero_grad();
  EXPECT_TRUE(equal_bits(before, model.grad(0).read()));
  EXPECT_TRUE(equal_bits(std::vector<float>(30, 0.0f), model.grad(1).read()));
}

TEST(FoundInf, AnyNonzeroValueSkipsTheStep) {
  std::vector<float> p{0.0f}, gradient{1.0f};
  Optimizer optimizer{SGD{.lr = 1.0}, std::vector<Parameter>{{"p", std::span(p), std::span(gradient)}}};
  float found_inf = 0.0f;
  optimizer.set_found_inf(&found_inf);
  for (const float value : {1.0f, 2.0f, -1.0f, 1e-45f, std::numeric_limits<float>::quiet_NaN()}) {
    found_inf = value;
    optimizer.step();
    EXPECT_EQ(p[0], 0.0f) << value;
  }
  found_inf = -0.0f;
  optimizer.step();
  EXPECT_EQ(p[0], -1.0f);
  EXPECT_EQ(optimizer.skipped_steps(), 5);
}

}  // namespace
}  // namespace onepass::test
