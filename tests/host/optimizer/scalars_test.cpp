// scalars_test.cpp - the numbers that a rule carries for each parameter follow its own steps, and go wherever
// its states go.
#include <gtest/gtest.h>

#include <algorithm>
#include <cstring>
#include <limits>
#include <vector>

#include "support/checkpoint/files.hpp"
#include "support/model.hpp"
#include "support/refusal.hpp"

namespace onepass::test {
namespace {

// Rates that rise: every step carries another sum of weights.
constexpr ScheduleFreeSGD kRule{.lr = 0.1, .warmup_steps = 50.0, .r = 1.0};
const std::vector<Shape> kShapes{{.numel = 37}, {.numel = 0, .id = 1}, {.numel = 100, .id = 2}};

double scalar(Optimizer& optimizer, const std::string& parameter, const char* name = "weight_sum") {
  const Tensor tensor = optimizer.state(parameter, name);
  EXPECT_EQ(tensor.dtype, DType::float64);
  EXPECT_EQ(tensor.numel, 1);
  return *static_cast<const double*>(tensor.data);
}

const SavedState& saved(const StateDict& dict, std::size_t parameter, const std::string& name) {
  return *std::ranges::find(dict.parameters[parameter].states, name, &SavedState::name);
}

TEST(Scalars, StartAtZeroAndFollowTheStepsOfTheirParameter) {
  Model model(kShapes);
  std::vector<Parameter> parameters = model.parameters();
  const Parameter late = parameters.back();
  parameters.pop_back();
  Optimizer optimizer(kRule, parameters);
  EXPECT_EQ(scalar(optimizer, "t0"), 0.0);
  train_finite(model, optimizer, 1);
  const double first = scalar(optimizer, "t0");
  EXPECT_GT(first, 0.0);
  EXPECT_EQ(scalar(optimizer, "t1"), first);  // a parameter without elements steps too
  train_finite(model, optimizer, 2, 2);
  optimizer.add_parameters(std::vector<Parameter>{late});
  const double third = scalar(optimizer, "t0");
  EXPECT_GT(third, first);
  EXPECT_EQ(scalar(optimizer, "t2"), 0.0);
  train_finite(model, optimizer, 1, 4);
  EXPECT_EQ(scalar(optimizer, "t2"), first);
  optimizer.remove_parameters({"t0"});
  train_finite(model, optimizer, 2, 5);
  EXPECT_EQ(scalar(optimizer, "t2"), third);
}

TEST(Scalars, StayInAStepThatIsSkippedOrLeavesTheParameterOut) {
  Model model(kShapes);
  Optimizer optimizer(kRule, model.parameters());
  optimizer.set_gradient_handling({.nonfinite = NonFinite::skip});
  train_finite(model, optimizer, 2);
  const double before = scalar(optimizer, "t0");
  model.draw_finite_gradients(3);
  model.grad(2).host()[5] = std::numeric_limits<float>::infinity();
  optimizer.step();
  EXPECT_EQ(optimizer.skipped_steps(), 1);
  EXPECT_EQ(scalar(optimizer, "t0"), before);

  std::vector<Tensor> gradients = model.gradients();
  gradients[0].data = nullptr;
  optimizer.set_gradients(gradients);
  model.draw_finite_gradients(4);
  optimizer.step();
  EXPECT_EQ(scalar(optimizer, "t0"), before);
  EXPECT_GT(scalar(optimizer, "t2"), before);
}

TEST(Scalars, OfParametersWithEquallyManyStepsMayDiffer) {
  Model model(kShapes), other(kShapes);
  Optimizer optimizer(kRule, model.parameters());
  train_finite(model, optimizer, 3);
  StateDict dict = optimizer.state_dict();
  const double doubled = 2.0 * scalar(optimizer, "t0");
  std::memcpy(dict.parameters[2].states[1].bytes.data(), &doubled, sizeof doubled);
  optimizer.load_state_dict(dict);
  const double before = scalar(optimizer, "t0");
  train_finite(model, optimizer, 1, 4);
  const double step = scalar(optimizer, "t0") - before;
  EXPECT_DOUBLE_EQ(scalar(optimizer, "t2"), doubled + step);
  EXPECT_EQ(scalar(optimizer, "t1"), scalar(optimizer, "t0"));
}

TEST(Scalars, GoOnFromAStateDict) {
  Model model(kShapes), resumed(kShapes);
  Optimizer optimizer(kRule, model.parameters());
  train_finite(model, optimizer, 5);
  const StateDict dict = optimizer.state_dict();
  EXPECT_EQ(saved(dict, 0, "weight_sum").dtype, DType::float64);
  EXPECT_EQ(saved(dict, 1, "lr_max").bytes.size(), sizeof(double));

  Optimizer other(kRule, resumed.parameters());
  other.load_state_dict(dict);
  for (std::size_t i = 0; i < model.size(); ++i) {
    std::ranges::copy(model.value(i).host(), resumed.value(i).host().begin());
  }
  train_finite(model, optimizer, 5, 6);
  train_finite(resumed, other, 5, 6);
  EXPECT_TRUE(equal_bits(snapshot(model.parameters(), optimizer), snapshot(resumed.parameters(), other)));
  EXPECT_EQ(scalar(other, "t0"), scalar(optimizer, "t0"));
}

TEST(Scalars, ThatAreMissingOrTooShortAreRefused) {
  Model model(kShapes);
  Optimizer optimizer(kRule, model.parameters());
  const StateDict good = optimizer.state_dict();
  StateDict bad = good;
  bad.parameters[0].states.pop_back();
  EXPECT_TRUE(refused([&] { optimizer.load_state_dict(bad); }, {"t0", "z_minus_y, weight_sum, lr_max"}));
  bad = good;
  bad.parameters[0].states.back().bytes.resize(4);
  EXPECT_TRUE(refused([&] { optimizer.load_state_dict(bad); }, {"lr_max of \"t0\" has 4 bytes of float64"}));
}

TEST(Scalars, LieInMemoryOfTheCallersIfItIsGiven) {
  Model model(kShapes), own(kShapes);
  const auto required = Optimizer::required_memory(kRule, model.parameters());
  const auto& streams = required[0].streams;
  const auto found = std::ranges::find(streams, "weight_sum", &RequiredStream::name);
  ASSERT_NE(found, streams.end());
  EXPECT_EQ(found->dtype, DType::float64);
  EXPECT_EQ(found->bytes, sizeof(double));

  std::vector<double> sums(kShapes.size(), 5.0), rates(kShapes.size(), 5.0);
  std::vector<Parameter> parameters = model.parameters();
  for (std::size_t i = 0; i < parameters.size(); ++i) {
    parameters[i].streams = {{"weight_sum", Tensor(&sums[i], DType::float64, 1)},
                             {"lr_max", Tensor(&rates[i], DType::float64, 1)}};
  }
  Optimizer optimizer(kRule, parameters), usual(kRule, own.parameters());
  EXPECT_EQ(sums[0], 0.0);
  train_finite(model, optimizer, 3);
  train_finite(own, usual, 3);
  EXPECT_TRUE(equal_bits(snapshot(own.parameters(), usual), snapshot(model.parameters(), optimizer)));
  EXPECT_EQ(sums[2], scalar(usual, "t2"));

  // Another optimizer goes on from that memory, and the memory may move.
  for (Parameter& parameter : parameters) {
    for (GivenStream& stream : parameter.streams) stream.contents = Contents::present;
  }
  std::vector<double> moved(sums);
  optimizer.set_gradient_handling({});
  parameters[0].streams[0].tensor.data = &moved[0];
  optimizer.set_memory(parameters);
  train_finite(model, optimizer, 1, 4);
  EXPECT_GT(moved[0], sums[0]);
  EXPECT_EQ(moved[0], sums[2]);
  parameters[0].streams[0].tensor = Tensor(sums.data(), DType::float32, 1);
  EXPECT_TRUE(refused([&] { Optimizer(kRule, parameters); }, {"weight_sum of \"t0\"", "float32", "float64"}));
}

TEST(Scalars, CountInMemoryAndNotInTraffic) {
  const Model model(kShapes);
  const Optimizer optimizer(kRule, model.parameters());
  const auto has = [](const std::vector<StreamBytes>& streams, const char* name) {
    const auto found = std::ranges::find(streams, name, &StreamBytes::name);
    return found == streams.end() ? 0.0 : found->bytes;
  };
  EXPECT_EQ(has(optimizer.memory(), "weight_sum"), 3 * sizeof(double));
  EXPECT_EQ(has(optimizer.traffic(), "weight_sum"), 0.0);
}

/// One of several shards of a parameter "w".
struct Shard {
  std::vector<float> value, grad;
  std::int64_t first;

  Shard(std::int64_t begin, std::int64_t end)
      : value(static_cast<std::size_t>(end - begin), 0.5f), grad(value.size(), 0.25f), first(begin) {}
  [[nodiscard]] std::vector<Parameter> parameters() {
    return {{.name = "w", .value = value, .grad = grad, .first = first}};
  }
};

TEST(Scalars, AreTheSameInAllShardsOfACheckpoint) {
  const Folder folder;
  Shard low(0, 32), high(32, 80), whole(0, 80);
  std::vector<std::filesystem::path> paths;
  double carried = 0.0;
  for (Shard* shard : {&low, &high}) {
    Optimizer optimizer(kRule, shard->parameters());
    for (int t = 0; t < 4; ++t) optimizer.step();
    carried = scalar(optimizer, "w");
    paths.push_back(folder / ("shard" + std::to_string(paths.size())));
    save(paths.back(), optimizer);
  }
  Optimizer joined(kRule, whole.parameters());
  load(paths, joined);
  EXPECT_EQ(scalar(joined, "w"), carried);
  EXPECT_EQ(whole.value[79], high.value[47]);

  // A shard with one step more has another sum.
  Optimizer ahead(kRule, high.parameters());
  StateDict dict = joined.state_dict();
  for (int t = 0; t < 4; ++t) ahead.step();
  dict = ahead.state_dict();
  const double other = carried + 1.0;
  std::memcpy(dict.parameters[0].states[1].bytes.data(), &other, sizeof other);
  ahead.load_state_dict(dict);
  save(paths[1], ahead);
  EXPECT_TRUE(refused([&] { load(paths, joined); }, {"shard1", "other scalars of \"w\""}));

  Optimizer plain(SGD{.momentum = 0.9}, whole.parameters());
  save(paths[0], plain);
  EXPECT_TRUE(refused([&] { load(paths[0], joined); }, {"momentum_buffer", "z_minus_y"}));
}

// A NaN in a gradient is in the average of norms from then on.
TEST(Scalars, ThatAreNotFiniteAreSavedAndLoaded) {
  const Folder folder;
  Shard whole(0, 40), other(0, 40);
  Optimizer optimizer(NovoGrad{}, whole.parameters()), loaded(NovoGrad{}, other.parameters());
  for (const float spoiled :
       {std::numeric_limits<float>::infinity(), std::numeric_limits<float>::quiet_NaN()}) {
    whole.grad[3] = spoiled;
    optimizer.step();
    save(folder / "run", optimizer);
    load(folder / "run", loaded);
    const StateDict expected = optimizer.state_dict(), actual = loaded.state_dict();
    EXPECT_EQ(expected.parameters[0].states[1].name, "exp_avg_norm_sq");
    EXPECT_EQ(expected.parameters[0].states[1].bytes, actual.parameters[0].states[1].bytes);
  }
}

}  // namespace
}  // namespace onepass::test
