// rounds_test.cpp - rounds of step_some() have on CUDA the bits of the CPU, and the launches of a step.
#include <limits>

#include "kernels/gradient_pair.hpp"
#include "support/formats/format_rounds.hpp"
#include "support/refusal.hpp"

namespace onepass::test {
namespace {

class CudaRounds : public CudaTest {};

TEST_F(CudaRounds, StepEveryKernelAsTheCpuStepsTheWhole) {
  for (const RuleCase& rule : one_case_per_layout()) {
    for (const char* const format : {"float32", "bf16_split"}) {
      SCOPED_TRACE(rule.name + " in " + format);
      expect_rounds_are_steps(rule, format_case(format), kGpu);
    }
  }
}

TEST_F(CudaRounds, ParametersClipByTheirNormsOfTheSameRound) {
  Pair pair(border_shapes(), {.clip_norm = ClipGradNorm{.max_norm = 0.05, .per_parameter = true}});
  for (int round = 1; round <= 3; ++round) {
    pair.both([&](Model& model, Optimizer& optimizer) {
      model.draw_finite_gradients(round);
      step_round(optimizer, random_parts(model.size(), static_cast<unsigned>(round)));
    });
    pair.expect_same();
    for (const Parameter& parameter : pair.gpu.parameters()) {
      EXPECT_EQ(pair.wanted.grad_norm(parameter.name), pair.actual.grad_norm(parameter.name));
    }
  }
}

TEST_F(CudaRounds, GroupsClipByTheirNormsOfTheRoundBefore) {
  for (const NormType type : {NormType::l2, NormType::infinity}) {
    Pair pair(border_shapes(),
              {.clip_norm = ClipGradNorm{.max_norm = 0.05, .norm_type = type, .per_group = true},
               .nonfinite = NonFinite::error});
    for (int round = 1; round <= 4; ++round) {
      pair.both([&](Model& model, Optimizer& optimizer) {
        model.draw_finite_gradients(round);
        if (round == 3) spoil(model, 12, 9002, std::numeric_limits<float>::quiet_NaN());
        step_round(optimizer, random_parts(model.size(), static_cast<unsigned>(round)));
      });
      pair.expect_same();
      for (const std::size_t group : {0, 1}) {
        EXPECT_EQ(pair.wanted.grad_norm(group), pair.actual.grad_norm(group));
      }
    }
    EXPECT_EQ(pair.actual.steps(), 4);
    try {
      pair.actual.check();
      FAIL();
    } catch (const NonFiniteGradient& error) {
      EXPECT_NE(std::string(error.what()).find("element 9002 of \"t12\""), std::string::npos) << error.what();
    }
  }
}

TEST_F(CudaRounds, AccumulatedSumsAreSteppedInParts) {
  Pair pair(border_shapes(), {.clip_norm = ClipGradNorm{.max_norm = 0.05}}, {.accumulates_gradients = true});
  for (int round = 1; round <= 3; ++round) {
    pair.both([&](Model& model, Optimizer& optimizer) {
      for (int batch = 0; batch < 2; ++batch) {
        model.draw_finite_gradients(10 * round + batch);
        optimizer.accumulate({.weight = 1.0 + batch});
      }
      step_round(optimizer, {{1, 0, 5}, {12, 13}});
    });
    pair.expect_same();
  }
}

TEST_F(CudaRounds, ReplaysHaveTheLaunchesOfAStepAndOneForTheEnd) {
  Pair pair(border_shapes(), {.clip_norm = ClipGradNorm{.max_norm = 0.05},
                              .loss_scaler = LossScaler{.init_scale = 8, .growth_interval = 2}});
  const PartList parts{{1, 2, 3, 4}, {5, 6, 7, 8, 9, 10, 11}, {0, 12, 13}};
  pair.both([&](Model& model, Optimizer& optimizer) {
    model.draw_finite_gradients(1);
    step_round(optimizer, parts);
  });
  synchronize(kGpu);
  const CudaStream stream;
  const CapturedGraph some(stream, [&] { pair.actual.step_some(parts[0], stream); });
  EXPECT_EQ(some.kernel_nodes(), 3);
  EXPECT_EQ(some.node_count(), 3);
  const CapturedGraph end(stream, [&] { pair.actual.end_round(stream); });
  EXPECT_EQ(end.kernel_nodes(), 1);
  const CapturedGraph round(stream, [&] { step_round(pair.actual, parts, stream); });
  EXPECT_EQ(round.node_count(), 10);
  for (int replay = 2; replay <= 5; ++replay) {
    pair.both([&](Model& model, Optimizer&) { model.draw_finite_gradients(replay); });
    synchronize(kGpu);
    round.replay(stream);
    stream.wait();
    step_round(pair.wanted, parts);
    pair.expect_same();
  }
}

TEST_F(CudaRounds, NewPartsAreRefusedUnderCapture) {
  Model model(border_shapes(), kGpu);
  Optimizer optimizer(Pair::rules(), model.parameters());
  synchronize(kGpu);
  const CudaStream stream;
  const CapturedGraph graph(stream, [&] {
    EXPECT_TRUE(refused([&] { optimizer.step_some(std::vector<std::size_t>{1}, stream); },
                        {"step_some", "captured"}));
    optimizer.end_round(stream);
  });
  EXPECT_EQ(graph.node_count(), 1);
}

}  // namespace
}  // namespace onepass::test
