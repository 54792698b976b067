// matrices_test.cpp - sums over rows and columns have the same bits on any threads, in any cut and for any
// instruction set; their states are saved, given and skipped as all others; and bad shapes are refused.
#include <gtest/gtest.h>

#include <filesystem>
#include <limits>
#include <string>
#include <vector>

#include "onepass/checkpoint.hpp"
#include "support/formats/format_model.hpp"
#include "support/formats/format_state.hpp"
#include "support/model.hpp"
#include "support/named.hpp"
#include "support/numbers/matrices.hpp"
#include "support/refusal.hpp"

namespace onepass::test {
namespace {

/// A model of matrices with an optimizer of a rule.
struct Trained {
  Model model{sizes_of()};
  Optimizer optimizer;

  explicit Trained(const Rule& rule, const Options& options = {})
      : optimizer(rule, shaped(model.parameters()), options) {}
  [[nodiscard]] Snapshot bits() { return snapshot(model.parameters(), optimizer); }
};

TEST(MatrixSums, HaveTheSameBitsForAnyThreadsAndChunksAndPlaceInTheModel) {
  for (const Rule& rule : matrix_rules()) {
    SCOPED_TRACE(rule.name());
    Trained one(rule, {.threads = 1});
    train_finite(one.model, one.optimizer, 4);
    for (const int threads : {2, 5}) {
      Trained many(rule, {.chunk_size = 64 * threads, .threads = threads});
      train_finite(many.model, many.optimizer, 4);
      EXPECT_TRUE(equal_bits(one.bits(), many.bits())) << threads << " threads";
    }
    std::vector<Shape> turned = sizes_of();
    for (std::size_t i = 0; i < turned.size(); ++i) turned[i].id = static_cast<int>(i);
    std::ranges::reverse(turned);
    std::vector<Dimensions> shapes = matrix_shapes();
    std::ranges::reverse(shapes);
    Model model(turned);
    Optimizer optimizer(rule, shaped(model.parameters(), shapes));
    train_finite(model, optimizer, 4);
    EXPECT_TRUE(equal_bits(one.bits(), snapshot(model.parameters(), optimizer)));
  }
}

class MatrixFormats : public testing::TestWithParam<FormatCase> {};
INSTANTIATE_TEST_SUITE_P(All, MatrixFormats, testing::ValuesIn(all_format_cases()), by_name);

TEST_P(MatrixFormats, HaveTheSameBitsForAnyIsaAndChunks) {
  const auto after_steps = [&](const Rule& rule, Isa isa, std::int64_t chunk_size) {
    const FormatModel model(GetParam(), Device::cpu(), numels_of());
    Optimizer optimizer(rule, shaped(model.parameters()),
                        {.chunk_size = chunk_size,
                         .isa = isa,
                         .storage = GetParam().low(),
                         .float32_storage = GetParam().wide()});
    for (int step = 1; step <= 4; ++step) {
      model.draw_finite(step);
      optimizer.step();
    }
    EXPECT_TRUE(model.intact());
    return all_bytes(model, optimizer.state_dict());
  };
  for (const Rule& rule : matrix_rules()) {
    const std::vector<std::byte> expected = after_steps(rule, Isa::baseline, 0);
    for (const Isa isa : {Isa::baseline, Isa::avx2, Isa::avx512, Isa::avx512_bf16}) {
      if (!isa_available(isa)) continue;
      EXPECT_EQ(after_steps(rule, isa, 0), expected) << rule.name() << " " << to_string(isa);
      EXPECT_EQ(after_steps(rule, isa, 192), expected) << rule.name() << " " << to_string(isa) << ", chunks";
    }
  }
}

// A format with an exact float32 master, or float32 states beside it, moves as float32 does.
TEST(MatrixStates, AreFloat32sBesideAMaster) {
  const FormatCase &low = format_case("bf16_master_grad32"), &wide = format_case("float32");
  for (const Rule& rule : matrix_rules()) {
    const FormatModel model(low, Device::cpu(), numels_of());
    const FormatModel exact(wide, Device::cpu(), numels_of());
    for (std::size_t i = 0; i < model.size(); ++i) exact.value(i).write(model.value(i).floats());
    Optimizer optimizer(rule, shaped(model.parameters()), {.storage = low.storage});
    Optimizer wanted(rule, shaped(exact.parameters()));
    for (int step = 1; step <= 5; ++step) {
      model.draw_finite(step), exact.draw_finite(step);
      optimizer.step(), wanted.step();
    }
    for (std::size_t i = 0; i < model.size(); ++i) {
      const std::string name = tensor_name(static_cast<int>(i));
      EXPECT_EQ(read(optimizer.state(name, "master")), exact.value(i).floats()) << rule.name() << " " << name;
      for (const char* const state : wanted.state_names(name)) {
        EXPECT_EQ(read(optimizer.state(name, state)), read(wanted.state(name, state)))
            << rule.name() << " " << state;
      }
    }
  }
}

TEST(MatrixSums, OfASkippedStepAreForgotten) {
  for (const Rule& rule : matrix_rules()) {
    Trained skipping(rule), plain(rule);
    skipping.optimizer.set_nonfinite(NonFinite::skip);
    train_finite(skipping.model, skipping.optimizer, 2);
    skipping.model.draw_finite_gradients(3);
    std::vector<float> bad = read(skipping.model.grad(3).tensor());
    bad[7] = std::numeric_limits<float>::infinity();
    skipping.model.grad(3).write(bad);
    skipping.optimizer.step();
    EXPECT_EQ(skipping.optimizer.skipped_steps(), 1);
    train_finite(skipping.model, skipping.optimizer, 2, 3);
    train_finite(plain.model, plain.optimizer, 4);
    EXPECT_TRUE(equal_bits(plain.bits(), skipping.bits())) << rule.name();
  }
}

TEST(MatrixSums, OfATensorWithoutGradientStay) {
  for (const Rule& rule : matrix_rules()) {
    Trained trained(rule);
    train_finite(trained.model, trained.optimizer, 2);
    const Snapshot before = trained.bits();
    std::vector<Tensor> gradients = trained.model.gradients();
    gradients[8].data = nullptr;
    trained.optimizer.set_gradients(gradients);
    train_finite(trained.model, trained.optimizer, 1, 3);
    for (const auto& [name, values] : trained.bits()) {
      if (name != "t8" && !name.starts_with("t8.")) continue;
      EXPECT_EQ(values, before.at(name)) << rule.name() << " " << name;
    }
    EXPECT_NE(trained.bits().at("t7"), before.at("t7"));
  }
}

TEST(MatrixSums, AreTakenPartByPartInARound) {
  for (const Rule& rule : matrix_rules()) {
    Trained whole(rule), parts(rule);
    for (int step = 1; step <= 3; ++step) {
      whole.model.draw_finite_gradients(step), parts.model.draw_finite_gradients(step);
      whole.optimizer.step();
      std::vector<std::size_t> even, odd;
      for (std::size_t i = 0; i < matrix_shapes().size(); ++i) (i % 2 == 0 ? even : odd).push_back(i);
      parts.optimizer.step_some(odd);
      parts.optimizer.step_some(even);
      parts.optimizer.end_round();
    }
    EXPECT_TRUE(equal_bits(whole.bits(), parts.bits())) << rule.name();
  }
}

TEST(MatrixStates, GoOnFromAStateDictAndFromACheckpoint) {
  const std::filesystem::path file = std::filesystem::path(testing::TempDir()) / "matrices.safetensors";
  for (const Rule& rule : matrix_rules()) {
    Trained straight(rule), from_dict(rule), from_file(rule);
    train_finite(straight.model, straight.optimizer, 3);
    for (Trained* const other : {&from_dict, &from_file}) {
      for (std::size_t i = 0; i < straight.model.size(); ++i) {
        other->model.value(i).write(read(straight.model.value(i).tensor()));
      }
    }
    from_dict.optimizer.load_state_dict(straight.optimizer.state_dict());
    save(file, straight.optimizer);
    load(file, from_file.optimizer);
    for (Trained* const one : {&straight, &from_dict, &from_file}) {
      train_finite(one->model, one->optimizer, 3, 4);
    }
    EXPECT_TRUE(equal_bits(straight.bits(), from_dict.bits())) << rule.name();
    EXPECT_TRUE(equal_bits(straight.bits(), from_file.bits())) << rule.name();
  }
}

TEST(MatrixStates, OfAnotherShapeAreRefused) {
  std::vector<float> value(12), gradient(12);
  const auto made = [&](Dimensions shape) {
    Parameter parameter{"w", std::span(value), std::span(gradient)};
    parameter.shape = std::move(shape);
    return Optimizer(Adafactor{}, std::vector<Parameter>{parameter});
  };
  const StateDict dict = made({3, 4}).state_dict();
  Optimizer other = made({2, 6}), vector = made({12});
  EXPECT_TRUE(refused([&] { other.load_state_dict(dict); }, {"row_var of \"w\"", "12 bytes", "8"}));
  EXPECT_TRUE(refused([&] { vector.load_state_dict(dict); }, {"\"w\"", "row_var"}));

  const std::filesystem::path file = std::filesystem::path(testing::TempDir()) / "shape.safetensors";
  const Optimizer saved = made({3, 4});
  save(file, saved);
  EXPECT_TRUE(refused([&] { load(file, other); }, {"row_var (3), col_var (4)", "row_var (2), col_var (6)"}));
  EXPECT_TRUE(refused([&] { load(file, vector); }, {"\"w\"", "variance"}));
}

TEST(MatrixStates, MayLieInTheCallersMemory) {
  std::vector<float> value(12, 1.0f), gradient(12, 0.5f), rows(3, 7.0f), columns(4, 7.0f);
  Parameter parameter{"w", std::span(value), std::span(gradient)};
  parameter.shape = {3, 4};
  parameter.streams = {{"row_var", std::span(rows)}, {"col_var", std::span(columns)}};
  Optimizer optimizer{Adafactor{}, std::vector<Parameter>{parameter}};
  EXPECT_EQ(rows, std::vector<float>(3, 0.0f));
  optimizer.step();
  EXPECT_EQ(rows, std::vector<float>(3, 0.25f));
  EXPECT_EQ(columns, std::vector<float>(4, 0.25f));
  std::vector<float> moved(3, 0.25f);
  parameter.streams[0].tensor = std::span(moved);
  optimizer.set_memory(std::vector<Parameter>{parameter});
  std::fill(gradient.begin(), gradient.end(), 1.0f);
  optimizer.step();
  EXPECT_EQ(rows, std::vector<float>(3, 0.25f));
  EXPECT_GT(moved[0], 0.25f);
  parameter.streams[0].tensor = std::span(columns);
  EXPECT_TRUE(refused([&] { optimizer.set_memory(std::vector<Parameter>{parameter}); },
                      {"row_var of \"w\" has 4 elements", "3"}));
}

TEST(MatrixStates, TakeMemoryByTheirRowsAndColumns) {
  Parameter parameter{.name = "w", .value = Tensor(static_cast<float*>(nullptr), 12)};
  parameter.shape = {3, 4};
  const auto required =
      Optimizer::required_memory(std::vector<Rule>{Adafactor{}}, std::vector<Parameter>{parameter});
  ASSERT_EQ(required[0].streams.size(), 3u);
  EXPECT_EQ(required[0].streams[0].name, "row_var");
  EXPECT_EQ(required[0].streams[0].numel, 3);
  EXPECT_EQ(required[0].streams[1].name, "col_var");
  EXPECT_EQ(required[0].streams[1].numel, 4);
}

// Adafactor reads the gradient for rows and columns, for the sums over the tensor, and for the update.
TEST(MatrixSums, ReadTheGradientAgain) {
  std::vector<float> value(12), gradient(12);
  Parameter parameter{"w", std::span(value), std::span(gradient)};
  parameter.shape = {3, 4};
  const auto bytes = [&](const Rule& rule, const std::string& stream) {
    const Optimizer optimizer{rule, std::vector<Parameter>{parameter}};
    for (const StreamBytes& one : optimizer.traffic()) {
      if (one.name == stream) return one.bytes / 12;
    }
    return 0.0;
  };
  EXPECT_EQ(bytes(Adafactor{}, "grad"), 12);
  EXPECT_EQ(bytes(Adafactor{}, "param"), 12);
  EXPECT_EQ(bytes(CAME{}, "grad"), 16);
  EXPECT_EQ(bytes(CAME{}, "exp_avg"), 12);
  EXPECT_EQ(bytes(AdamMini{}, "grad"), 8);
  EXPECT_EQ(bytes(AdamMini{}, "exp_avg"), 8);
}

TEST(Shapes, ThatDoNotFitAreRefused) {
  std::vector<float> value(12), gradient(12);
  const auto with = [&](const Rule& rule, Dimensions shape, std::int64_t first = 0) {
    Parameter parameter{"w", std::span(value), std::span(gradient)};
    parameter.shape = std::move(shape);
    parameter.first = first;
    Optimizer{rule, std::vector<Parameter>{parameter}};
  };
  EXPECT_TRUE(refused(
      [&] {
        with(SGD{}, {3, 5});
      },
      {"\"w\" has the shape (3, 5)", "its value has 12 elements"}));
  EXPECT_TRUE(refused([&] { with(SGD{}, {-3, -4}); }, {"\"w\" has the shape (-3, -4)"}));
  EXPECT_TRUE(refused([&] { with(SGD{}, {7}); }, {"\"w\" has the shape (7,)"}));
  EXPECT_TRUE(refused(
      [&] {
        with(Adafactor{}, {6, 4}, 12);
      },
      {"\"w\" is a shard", "Adafactor takes sums over whole rows and columns"}));
  // The shape of a shard is that of its logical tensor.
  EXPECT_TRUE(refused([&] { with(SGD{}, {3, 4}, 12); }, {"\"w\" has the shape (3, 4)", "up to element 24"}));
  with(SGD{}, {6, 4}, 12);
  with(Adafactor{}, {24}, 12);
}

}  // namespace
}  // namespace onepass::test
