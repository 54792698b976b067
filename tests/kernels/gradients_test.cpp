// gradients_test.cpp - clipping, scaling and accumulation of gradients on CUDA give the bits of the CPU.
#include <bit>
#include <cmath>
#include <limits>

#include "kernels/gradient_pair.hpp"
#include "support/numbers/compare.hpp"
#include "support/numbers/values.hpp"

namespace onepass::test {
namespace {

class CudaGradients : public CudaTest {};

constexpr float kInf = std::numeric_limits<float>::infinity();
constexpr float kNaN = std::numeric_limits<float>::quiet_NaN();

std::vector<Shape> many_shapes() {
  std::vector<Shape> shapes;
  for (int i = 0; i < 300; ++i) {
    shapes.push_back({.numel = i % 11, .grad_misalignment = i % 4, .group = static_cast<std::size_t>(i % 2)});
  }
  return shapes;
}

std::string complaint(Optimizer& optimizer) {
  try {
    optimizer.check();
  } catch (const NonFiniteGradient& error) {
    return error.what();
  }
  return "";
}

constexpr NormType kTypes[] = {NormType::l1, NormType::l2, NormType::infinity};

TEST_F(CudaGradients, EveryNormClipsWithTheBitsOfTheCpu) {
  for (const NormType type : kTypes) {
    SCOPED_TRACE(static_cast<int>(type));
    Pair pair(border_shapes(), {.clip_norm = ClipGradNorm{.max_norm = 0.5, .norm_type = type},
                                .clip_value = 0.01,
                                .loss_scale = 3.0});
    pair.both([](Model& model, Optimizer& optimizer) { train_finite(model, optimizer, 2); });
    EXPECT_GT(pair.actual.grad_norm(), 0.5);
    pair.expect_same();
  }
}

// The factor of about 3e-42 is below the normal float32 numbers.
TEST_F(CudaGradients, SmallFactorsClipWithTheBitsOfTheCpu) {
  Pair pair(border_shapes(), {.clip_norm = ClipGradNorm{.max_norm = 1e-3}});
  pair.both([](Model& model, Optimizer& optimizer) {
    model.draw_finite_gradients(1);
    for (std::size_t t = 0; t < model.size(); ++t) {
      if (model.shape(t).numel > 0) spoil(model, t, 0, 3e38f / static_cast<float>(t + 1));
    }
    optimizer.step();
  });
  pair.expect_same();
}

TEST_F(CudaGradients, NormsOfManyTensorsAndOfEmptyOnesEqualThoseOfTheCpu) {
  Pair many(many_shapes(), {.clip_norm = ClipGradNorm{.max_norm = 0.5}, .nonfinite = NonFinite::skip});
  many.both([](Model& model, Optimizer& optimizer) { train_finite(model, optimizer, 2); });
  many.expect_same();
  Pair none({{.numel = 0}, {.numel = 0}}, {.clip_norm = ClipGradNorm{.max_norm = 0.5}});
  none.both([](Model& model, Optimizer& optimizer) { train_finite(model, optimizer, 1); });
  EXPECT_EQ(none.actual.grad_norm(), 0.0);
  none.expect_same();
}

TEST_F(CudaGradients, LargeDenormalAndInfiniteNormsEqualThoseOfTheCpu) {
  for (const NormType type : kTypes) {
    for (const float value : {1e20f, 3e38f, std::numeric_limits<float>::denorm_min(), kInf, -kInf, kNaN}) {
      SCOPED_TRACE(value);
      Pair pair({{.numel = 1500}, {.numel = 70, .grad_misalignment = 1}},
                {.clip_norm = ClipGradNorm{.max_norm = 0.5, .norm_type = type}});
      pair.both([&](Model& model, Optimizer& optimizer) {
        std::vector<float> gradient(1500, std::isfinite(value) ? value : 0.5f);
        gradient[1400] = value;
        model.grad(0).write(gradient);
        optimizer.step();
      });
      pair.expect_same();
    }
  }
}

TEST_F(CudaGradients, NormIsReadableWithoutWaiting) {
  Pair pair(border_shapes(), {.clip_norm = ClipGradNorm{.max_norm = 0.5}});
  EXPECT_TRUE(std::isnan(pair.actual.fetched_grad_norm()));
  synchronize(kGpu);
  const CudaStream stream;
  pair.actual.step(stream);
  pair.actual.fetch_grad_norm(stream);
  stream.wait();
  pair.wanted.step();
  EXPECT_EQ(pair.wanted.grad_norm(), pair.actual.fetched_grad_norm());
}

TEST_F(CudaGradients, SkippedStepsLeaveParametersAndStatesUnchanged) {
  for (const RuleCase& rule : one_case_per_layout()) {
    SCOPED_TRACE(rule.name);
    const std::vector<Shape> shapes{{.numel = 70}, {.numel = 0}, {.numel = 1100, .grad_misalignment = 1}};
    Model model(shapes, kGpu), twin(shapes);
    Optimizer optimizer = rule.make(model.parameters());
    Optimizer steady = rule.make(twin.parameters());
    optimizer.set_gradient_handling({.nonfinite = NonFinite::skip, .zero_grad = true});
    train_finite(model, optimizer, 1);
    const Snapshot before = snapshot(model.parameters(), optimizer);
    for (const float bad : {kNaN, kInf}) {
      model.draw_finite_gradients(9);
      spoil(model, 2, 1099, bad);
      optimizer.step();
      EXPECT_TRUE(equal_bits(before, snapshot(model.parameters(), optimizer)));
      for (const float gradient : model.grad(2).read()) ASSERT_EQ(gradient, 0.0f);
    }
    train_finite(model, optimizer, 1, 2);
    train_finite(twin, steady, 2);
    EXPECT_TRUE(equal_bits(snapshot(twin.parameters(), steady), snapshot(model.parameters(), optimizer)));
    EXPECT_EQ(optimizer.skipped_steps(), 2);
  }
}

TEST_F(CudaGradients, ErrorNamesTensorAndElementAsTheCpuDoes) {
  const std::pair<std::size_t, std::int64_t> places[] = {
      {12, 9002}, {12, 8192}, {12, 4100}, {12, 1025}, {12, 0},  {11, 4096}, {10, 4095},
      {9, 4094},  {7, 1024},  {6, 33},    {4, 128},   {4, 127}, {1, 0}};
  Pair pair(border_shapes(), {.nonfinite = NonFinite::error});
  pair.both([](Model& model, Optimizer&) { model.draw_finite_gradients(1); });
  // Each place lies before the earlier ones, whose bad elements stay in the gradient.
  for (const auto& [tensor, element] : places) {
    pair.both([&, t = tensor, i = element](Model& model, Optimizer& optimizer) {
      spoil(model, t, i, i % 2 == 0 ? kNaN : kInf);
      optimizer.step();
    });
    const std::string sentence = complaint(pair.actual);
    EXPECT_EQ(complaint(pair.wanted), sentence);
    EXPECT_NE(sentence.find("element " + std::to_string(element) + " of \"" +
                            tensor_name(static_cast<int>(tensor)) + "\""),
              std::string::npos)
        << sentence;
    EXPECT_EQ(complaint(pair.actual), "");
  }
  pair.expect_same();
}

TEST_F(CudaGradients, LossScalerHasTheScalesOfTheCpuOverManySteps) {
  Pair pair({{.numel = 3}},
            {.loss_scaler = LossScaler{.init_scale = 1e4, .growth_factor = 1.7, .growth_interval = 3}});
  for (int step = 0; step < 300; ++step) {
    const bool bad = uniform(static_cast<std::uint64_t>(step)) < 0.2;
    pair.both([&](Model& model, Optimizer& optimizer) {
      model.grad(0).write(std::vector<float>{1.0f, bad ? kInf : -2.0f, 0.5f});
      optimizer.step();
    });
    float scale = 0.0f;
    copy({Device::cpu(), &scale}, {kGpu, pair.actual.loss_scale_pointer()}, sizeof scale);
    ASSERT_TRUE(same_bits(pair.wanted.loss_scale(), scale)) << step;
  }
  EXPECT_GT(pair.actual.skipped_steps(), 30);
  pair.expect_same();
}

TEST_F(CudaGradients, LossScalerStopsAtItsBoundsWhereTheCpuDoes) {
  Pair pair({{.numel = 3}}, {.loss_scaler = LossScaler{
                                 .init_scale = 6, .growth_interval = 1, .min_scale = 2, .max_scale = 9}});
  const auto step = [&](float gradient) {
    pair.both([&](Model& model, Optimizer& optimizer) {
      model.grad(0).write(std::vector<float>{1.0f, gradient, 0.5f});
      optimizer.step();
    });
    return pair.actual.loss_scale();
  };
  for (const float wanted : {3.0f, 2.0f, 2.0f}) EXPECT_EQ(step(kInf), wanted);
  for (const float wanted : {4.0f, 8.0f, 8.0f}) EXPECT_EQ(step(1.0f), wanted);
  pair.expect_same();
}

TEST_F(CudaGradients, CallersScaleThatCannotBeDividedByIsNamed) {
  DeviceFloat scale(0.0f);
  Pair pair({{.numel = 3}}, {});
  pair.actual.set_gradient_handling({.nonfinite = NonFinite::error, .grad_scale = scale.get()});
  for (const float bad : {0.0f, 2e-39f, kNaN}) {
    scale.set(bad);
    pair.actual.step();
    EXPECT_NE(complaint(pair.actual).find("loss scale"), std::string::npos) << bad;
  }
  EXPECT_EQ(pair.actual.skipped_steps(), 3);
}

TEST_F(CudaGradients, CallersScaleIsReadOnTheDevice) {
  DeviceFloat scale(4.0f);
  Pair pair(border_shapes(), {.loss_scale = 4.0});
  pair.actual.set_gradient_handling({.grad_scale = scale.get()});
  pair.both([](Model& model, Optimizer& optimizer) { train_finite(model, optimizer, 1); });
  scale.set(7.0f);
  pair.wanted.set_gradient_handling({.loss_scale = 7.0});
  pair.both([](Model& model, Optimizer& optimizer) { train_finite(model, optimizer, 1, 2); });
  pair.wanted.set_gradient_handling({});
  pair.actual.set_gradient_handling({});
  pair.expect_same();
}

TEST_F(CudaGradients, ScalesInHostMemoryAreRefused) {
  Model model({{.numel = 3}, {.numel = 3}}, kGpu);
  Optimizer optimizer(SGD{}, model.parameters());
  static const float host = 1.0f;
  for (const GradientHandling& bad :
       {GradientHandling{.found_inf = &host}, GradientHandling{.grad_scale = &host}}) {
    EXPECT_THROW(optimizer.set_gradient_handling(bad), InvalidArgument);
  }
}

// Some tensors have gradients in all micro-batches, some in a few, some in none. One step is skipped, and one
// has no micro-batch.
TEST_F(CudaGradients, AccumulationGivesTheBitsOfTheCpu) {
  for (const bool zeroes : {false, true}) {
    SCOPED_TRACE(zeroes);
    Pair pair(
        border_shapes(),
        {.clip_norm = ClipGradNorm{.max_norm = 0.5}, .nonfinite = NonFinite::error, .zero_grad = zeroes},
        {.accumulates_gradients = true});
    for (int batch = 0; batch < 9; ++batch) {
      pair.both([&](Model& model, Optimizer& optimizer) {
        model.draw_finite_gradients(batch);
        if (batch == 4) spoil(model, 12, 5000, kNaN);
        std::vector<Tensor> gradients = model.gradients();
        if (batch % 3 != 1) gradients[11] = Tensor{};
        if (batch > 4) gradients[12] = Tensor{};
        optimizer.set_gradients(gradients);
        optimizer.accumulate();
        if (batch % 3 == 2) optimizer.step();
        if (batch == 5) optimizer.step();
      });
    }
    EXPECT_EQ(pair.actual.steps(), 2);
    EXPECT_EQ(pair.actual.skipped_steps(), 1);
    EXPECT_EQ(complaint(pair.wanted), complaint(pair.actual));
    pair.expect_same();
  }
}

TEST_F(CudaGradients, ManyTensorsAccumulateAsOnTheCpu) {
  Pair pair(many_shapes(), {}, {.chunk_size = 64, .accumulates_gradients = true});
  pair.both([](Model& model, Optimizer& optimizer) {
    for (int batch = 0; batch < 3; ++batch) {
      model.draw_gradients(batch, 200);
      optimizer.accumulate();
    }
    optimizer.step();
  });
  pair.expect_same();
}

TEST_F(CudaGradients, FusedZeroingGivesTheBitsOfTheCpu) {
  for (const std::int64_t chunk_size : {64, 0}) {
    Pair pair(border_shapes(), {.zero_grad = true}, {.chunk_size = chunk_size});
    pair.both([](Model& model, Optimizer& optimizer) {
      train(model, optimizer, 2);
      std::vector<Tensor> gradients = model.gradients();
      gradients[12] = Tensor{};
      optimizer.set_gradients(gradients);
      train(model, optimizer, 1, 3);
    });
    EXPECT_EQ(pair.gpu.grad(11).read(), std::vector<float>(4097, 0.0f));
    pair.expect_same();
  }
}

TEST_F(CudaGradients, PenaltyOfNonFiniteParametersEqualsThatOfTheCpu) {
  Pair pair(border_shapes(), {});
  pair.both([](Model& model, Optimizer&) {
    std::vector<float> value = model.value(11).read();
    value[4096] = -kInf;
    model.value(11).write(value);
  });
  EXPECT_EQ(pair.wanted.penalty(), double{kInf});
  EXPECT_EQ(pair.actual.penalty(), double{kInf});
}

TEST_F(CudaGradients, TrainingSavedInMidAccumulationContinuesOnTheOtherDevice) {
  const GradientHandling handling{.clip_norm = ClipGradNorm{.max_norm = 0.5},
                                  .loss_scaler = LossScaler{.init_scale = 64, .growth_interval = 2}};
  const Options options{.accumulates_gradients = true};
  Pair whole(border_shapes(), handling, options), other(border_shapes(), handling, options);
  const auto batches = [](int first, int last) {
    return [=](Model& model, Optimizer& optimizer) {
      for (int batch = first; batch < last; ++batch) {
        model.draw_finite_gradients(batch);
        if (batch == 2) spoil(model, 12, 5, kInf);
        optimizer.accumulate();
        if (batch % 2 == 1) optimizer.step();
      }
    };
  };
  whole.both(batches(0, 8));
  other.both(batches(0, 5));
  // Each optimizer continues from the state that the other one has saved.
  const StateDict cpu = other.wanted.state_dict(), gpu = other.actual.state_dict();
  other.wanted.load_state_dict(gpu);
  other.actual.load_state_dict(cpu);
  other.both(batches(5, 8));
  EXPECT_EQ(whole.actual.skipped_steps(), 1);
  EXPECT_TRUE(equal_bits(snapshot(whole.cpu.parameters(), whole.wanted),
                         snapshot(other.cpu.parameters(), other.wanted)));
  other.expect_same();
  EXPECT_EQ(whole.wanted.loss_scale(), other.actual.loss_scale());
}

TEST_F(CudaGradients, SettingsSurviveAddedParameters) {
  Pair pair(border_shapes(), {.clip_norm = ClipGradNorm{.max_norm = 0.5},
                              .loss_scaler = LossScaler{.init_scale = 64, .growth_interval = 2}});
  Model cpu_late({{.numel = 41, .id = 70}, {.numel = 1025, .id = 71}});
  Model gpu_late({{.numel = 41, .id = 70}, {.numel = 1025, .id = 71}}, kGpu);
  pair.both([](Model& model, Optimizer& optimizer) { train_finite(model, optimizer, 3); });
  pair.wanted.add_parameters(cpu_late.parameters());
  pair.actual.add_parameters(gpu_late.parameters());
  pair.both([](Model& model, Optimizer& optimizer) { train_finite(model, optimizer, 2, 4); });
  pair.expect_same();
  EXPECT_EQ(pair.actual.loss_scale(), 256.0f);
}

}  // namespace
}  // namespace onepass::test
