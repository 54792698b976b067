// perturb_test.cpp - perturb() moves parameters by the formulas of SAM and ASAM, in every format and with the
// same bits in every order, and restore() puts them back bit for bit.
#include <gtest/gtest.h>

#include <algorithm>

#include "host/sam/sam_model.hpp"
#include "support/numbers/sizes.hpp"
#include "support/shards/sharded_model.hpp"

namespace onepass::test {
namespace {

TEST(Perturb, MovesEveryFormatByTheFormulaFromWhatTrainingUses) {
  for (const FormatCase& format : all_format_cases()) {
    for (const Sam& sam : sam_cases()) {
      SCOPED_TRACE(std::string(format.name) + ", " + text(sam));
      const FormatModel model(format, Device::cpu(), with_a_large_one());
      Optimizer optimizer = format_optimizer(model, format, {.chunk_size = 128});
      for (int step = 1; step <= 3; ++step) {
        model.draw_finite(step);
        optimizer.step();
      }
      model.draw_finite(4);
      const auto params = trained_params(format, model, optimizer.state_dict());
      const auto gradients = gradients_of(model);
      const reference::Sam reference = reference_of(sam);
      const long double norm = reference.norm(params, gradients);
      optimizer.perturb(sam);
      for (std::size_t t = 0; t < model.size(); ++t) {
        EXPECT_TRUE(is_where(reference, format.param, params[t], gradients[t], model.value(t).floats(), norm))
            << "tensor " << t;
      }
      EXPECT_TRUE(model.intact());
    }
  }
}

TEST(Perturb, RestoreGivesEveryFormatItsBitsBack) {
  for (const FormatCase& format : all_format_cases()) {
    SCOPED_TRACE(format.name);
    const FormatModel model(format, Device::cpu(), with_a_large_one()),
        plain(format, Device::cpu(), with_a_large_one());
    Optimizer optimizer = format_optimizer(model, format), without = format_optimizer(plain, format);
    for (int step = 1; step <= 4; ++step) {
      model.draw_finite(100 + step);
      const auto before = value_bytes(model);
      optimizer.perturb({.rho = 30.0, .adaptive = step % 2 == 0});
      EXPECT_NE(before, value_bytes(model));
      optimizer.restore();
      EXPECT_EQ(before, value_bytes(model));
      model.draw_finite(step), plain.draw_finite(step);
      optimizer.step(), without.step();
    }
    EXPECT_EQ(all_bytes(plain, without.state_dict()), all_bytes(model, optimizer.state_dict()));
    EXPECT_TRUE(model.intact());
  }
}

TEST(Perturb, AStepRestoresFirst) {
  Model explicitly({{.numel = 5000}, {.numel = 3}}), itself({{.numel = 5000}, {.numel = 3}});
  Optimizer one(AdamW{}, explicitly.parameters()), other(AdamW{}, itself.parameters());
  const auto second_pass = [](Model& model, Optimizer& optimizer, int step) {
    model.draw_finite_gradients(step);
    optimizer.perturb(Sam{.rho = 1.0});
    model.draw_finite_gradients(100 + step);
  };
  for (int step = 1; step <= 3; ++step) {
    second_pass(explicitly, one, step);
    second_pass(itself, other, step);
    one.restore();
    one.step();
    other.step();
  }
  EXPECT_TRUE(equal_bits(snapshot(explicitly.parameters(), one), snapshot(itself.parameters(), other)));
}

TEST(Perturb, EveryKindOfStepRestoresFirst) {
  const auto values_after = [](auto step) {
    Model model({{.numel = 1500}, {.numel = 77}});
    Optimizer optimizer(SGD{.lr = 0.0}, model.parameters());
    optimizer.clip_grad_norm(1.0);
    model.draw_finite_gradients(1);
    optimizer.perturb(Sam{.rho = 1.0});
    step(optimizer);
    return std::vector<std::vector<float>>{model.value(0).read(), model.value(1).read()};
  };
  Model untouched({{.numel = 1500}, {.numel = 77}});
  const std::vector<std::vector<float>> before{untouched.value(0).read(), untouched.value(1).read()};
  EXPECT_NE(before, values_after([](Optimizer&) {}));
  EXPECT_EQ(before, values_after([](Optimizer& one) { one.step(); }));
  EXPECT_EQ(before, values_after([](Optimizer& one) { one.step_some(std::vector<std::size_t>{0}); }));
  EXPECT_EQ(before, values_after([](Optimizer& one) {
              std::vector<std::int64_t> words(22);
              one.measure({words.data(), DType::int64, 22});
              one.step_measured({words.data(), DType::int64, 22});
            }));
}

/// The values in a format after a step and a perturbation.
std::vector<std::vector<std::byte>> perturbed(const FormatCase& format, bool adaptive,
                                              const std::vector<std::int64_t>& sizes,
                                              const Options& options) {
  const FormatModel model(format, Device::cpu(), sizes);
  Optimizer optimizer = format_optimizer(model, format, options);
  model.draw_finite(1);
  optimizer.step();
  model.draw_finite(2);
  optimizer.perturb({.rho = 1.0, .adaptive = adaptive});
  return value_bytes(model);
}

TEST(Perturb, InstructionSetAndChunksChangeNoBit) {
  const std::vector<std::int64_t> sizes{0, 1, 31, 33, 100, 1025, 3003};
  for (const FormatCase& format : all_format_cases()) {
    for (const bool adaptive : {false, true}) {
      SCOPED_TRACE(format.name);
      const auto expected = perturbed(format, adaptive, sizes, {.isa = Isa::baseline});
      for (const Isa isa : {Isa::avx2, Isa::avx512, Isa::avx512_bf16}) {
        if (!isa_available(isa)) continue;
        EXPECT_EQ(expected, perturbed(format, adaptive, sizes, {.isa = isa})) << to_string(isa);
      }
      EXPECT_EQ(expected, perturbed(format, adaptive, sizes, {.chunk_size = 64}));
    }
  }
}

// Enough elements that a step wakes threads.
TEST(Perturb, ThreadsChangeNoBit) {
  const std::vector<std::int64_t> sizes{40000, 7, 90000};
  for (const char* const name : {"float32", "compact"}) {
    const auto expected = perturbed(format_case(name), true, sizes, {.threads = 1});
    for (const int threads : {2, 5}) {
      EXPECT_EQ(expected, perturbed(format_case(name), true, sizes, {.threads = threads})) << threads;
    }
  }
}

/// The values of a model in the order of the ids of its tensors, after a perturbation.
Snapshot perturbed(const std::vector<Shape>& shapes, const Sam& sam) {
  Model model(shapes);
  Optimizer optimizer({SGD{}, SGD{.lr = 0.1}}, model.parameters());
  model.draw_finite_gradients(1);
  optimizer.perturb(sam);
  Snapshot values;
  for (const Parameter& parameter : model.parameters()) values[parameter.name] = read(parameter.value);
  EXPECT_TRUE(model.intact());
  return values;
}

TEST(Perturb, OrderOfTensorsAndGroupsChangesNoBit) {
  std::vector<Shape> shapes;
  for (const std::int64_t numel : awkward_sizes(64)) {
    const int n = static_cast<int>(shapes.size());
    shapes.push_back({.numel = numel,
                      .value_misalignment = n % 4,
                      .grad_misalignment = n / 2 % 4,
                      .group = static_cast<std::size_t>(n % 2),
                      .id = n});
  }
  for (const Sam& sam : sam_cases()) {
    const Snapshot expected = perturbed(shapes, sam);
    std::vector<Shape> turned(shapes.rbegin(), shapes.rend());
    for (Shape& shape : turned) shape.group = 0, std::swap(shape.value_misalignment, shape.grad_misalignment);
    EXPECT_TRUE(equal_bits(expected, perturbed(turned, sam))) << text(sam);
  }
}

TEST(Perturb, ManyTensorsMoveByOneNorm) {
  std::vector<std::int64_t> sizes;
  for (int i = 0; i < 700; ++i) sizes.push_back(i % 11);
  const FormatCase& format = format_case("float32");
  const FormatModel model(format, Device::cpu(), sizes);
  Optimizer optimizer = format_optimizer(model, format);
  model.draw_finite(1);
  const auto params = trained_params(format, model, optimizer.state_dict());
  const auto gradients = gradients_of(model);
  const reference::Sam reference{0.3};
  optimizer.perturb({.rho = 0.3});
  for (std::size_t t = 0; t < model.size(); ++t) {
    EXPECT_TRUE(is_where(reference, format.param, params[t], gradients[t], model.value(t).floats(),
                         reference.norm(params, gradients)));
  }
}

// The squares of these gradients leave float32, and the factor is a denormal, or would be infinite in
// float32.
TEST(Perturb, GradientsOfAnyMagnitudeMoveAsFar) {
  const FormatCase& format = format_case("float32");
  for (const auto& [low, high] :
       {std::pair{126, 127}, {100, 120}, {-3, 0}, {-60, -40}, {-100, -90}, {-140, -126}}) {
    for (const bool adaptive : {false, true}) {
      SCOPED_TRACE(low);
      const FormatModel model(format, Device::cpu(), {1100, 5});
      Optimizer optimizer = format_optimizer(model, format);
      for (std::size_t t = 0; t < 2; ++t) model.grad(t).write(between(t == 0 ? 1100 : 5, low, high, t));
      // Where |p| * g is a denormal, its digits are too few for the formula.
      if (adaptive && low < -100) continue;
      const auto params = trained_params(format, model, optimizer.state_dict());
      const auto gradients = gradients_of(model);
      const reference::Sam reference{0.5, adaptive};
      optimizer.perturb({.rho = 0.5, .adaptive = adaptive});
      for (std::size_t t = 0; t < model.size(); ++t) {
        EXPECT_TRUE(is_where(reference, format.param, params[t], gradients[t], model.value(t).floats(),
                             reference.norm(params, gradients)));
      }
    }
  }
}

TEST(Perturb, ARhoOf0MovesNothing) {
  std::vector<float> p{3.0f, -1.0f}, g{1.0f, 2.0f};
  Optimizer optimizer(SGD{}, std::vector<Parameter>{{.name = "w", .value = p, .grad = g}});
  optimizer.perturb({.rho = 0.0});
  EXPECT_EQ(p, (std::vector<float>{3.0f, -1.0f}));
}

TEST(Perturb, TensorsWithoutAGradientStayAndDoNotCount) {
  std::vector<float> p{1.0f, 1.0f}, still{5.0f}, g{3.0f, 4.0f}, other{1000.0f};
  Optimizer optimizer(SGD{.lr = 0.0},
                      std::vector<Parameter>{{.name = "w", .value = p, .grad = g},
                                             {.name = "still", .value = still, .grad = other}});
  optimizer.set_gradients(std::vector<Tensor>{g, Tensor{nullptr, 1}});
  optimizer.perturb({.rho = 0.5});
  EXPECT_EQ(p, (std::vector<float>{1.0f + 0.3f, 1.0f + 0.4f}));
  EXPECT_EQ(still, std::vector<float>{5.0f});
  // A gradient that comes later does not put back what was not moved.
  optimizer.set_gradients(std::vector<Tensor>{Tensor{nullptr, 2}, other});
  still[0] = 6.0f;
  optimizer.step();
  EXPECT_EQ(p, (std::vector<float>{1.0f, 1.0f}));
  EXPECT_EQ(still, std::vector<float>{6.0f});
}

TEST(Perturb, The16BitCopyMovesAndComesBackToo) {
  for (const DType dtype : {DType::bfloat16, DType::float16}) {
    std::vector<float> p(1500), g(1500);
    draw_value(p, 1);
    for (std::size_t i = 0; i < g.size(); ++i) g[i] = static_cast<float>(uniform(i) - 0.5);
    const FormatBuffer copied(Device::cpu(), dtype, 1500, 1);
    copied.write(std::vector<float>(1500, 7.0f));  // which no rounding of p is
    Optimizer optimizer(
        SGD{}, std::vector<Parameter>{{.name = "w", .value = p, .grad = g, .copy = copied.tensor()}});
    const std::vector<std::byte> before = copied.bytes();
    const std::vector<float> p_before = p;
    optimizer.perturb({.rho = 3.0});
    EXPECT_EQ(copied.bytes(), encoded(dtype, p));
    EXPECT_NE(p, p_before);
    optimizer.restore();
    EXPECT_EQ(copied.bytes(), before);
    EXPECT_EQ(p, p_before);
    EXPECT_TRUE(copied.intact());
  }
}

// Cuts inside leaves, in tensors that some shards have nothing of.
TEST(Perturb, ShardsMoveAsTheWholeDoes) {
  for (const Sam& sam : sam_cases()) {
    ShardedModel model({5000, 3, 9000, 1024}, {{33, 0, 4001, 512}, {2080, 0, 8992, 1024}}, {});
    model.draw(1);
    std::vector<std::int64_t> all(22, 0);
    model.each([&](Shard& shard) {
      std::vector<std::int64_t> own(22, -1);
      shard.optimizer().measure_perturbation(sam, ShardedModel::words_of(own));
      for (std::size_t i = 0; i < 22; ++i) all[i] += own[i];
    });
    model.each([&](Shard& shard) { shard.optimizer().perturb_measured(sam, ShardedModel::words_of(all)); });
    const std::vector<float> before = model.whole().value(0);
    model.optimizer().perturb(sam);
    for (std::size_t t = 0; t < model.tensors(); ++t) {
      EXPECT_TRUE(equal_bits(model.whole().value(t), model.value(t))) << text(sam);
    }
    EXPECT_NE(before, model.whole().value(0));
    model.each([&](Shard& shard) { shard.optimizer().restore(); });
    EXPECT_EQ(std::vector<float>(before), model.value(0));
  }
}

}  // namespace
}  // namespace onepass::test
