// round_trip_test.cpp - a checkpoint restores optimizers and parameters bit for bit, whatever they have.
#include <gtest/gtest.h>

#include "support/checkpoint/files.hpp"
#include "support/formats/format_model.hpp"
#include "support/formats/format_resume.hpp"
#include "support/formats/format_state.hpp"
#include "support/model.hpp"
#include "support/named.hpp"
#include "support/refusal.hpp"
#include "support/rules.hpp"

namespace onepass::test {
namespace {

/// Options that differ from the defaults in everything that a checkpoint has.
Options options_of(const FormatCase& format, std::uint64_t seed) {
  return {.storage = format.low(),
          .float32_storage = format.wide(),
          .seed = seed,
          .ema = EMA{.decay = 0.9, .dtype = DType::bfloat16}};
}

/// Trains, saves, loads into a new optimizer over other memory, and trains on. Expects the bits of a training
/// that was not interrupted, and right after loading those of the saved optimizer.
void expect_continued(const RuleCase& rule, const FormatCase& format) {
  constexpr int kSteps = 3;
  const Folder folder;
  const FormatModel whole(format, Device::cpu(), kFormatSizes), first(format, Device::cpu(), kFormatSizes),
      second(format, Device::cpu(), kFormatSizes);
  Optimizer steady = rule.make(whole.parameters(), options_of(format, 11));
  train(whole, steady, 1, 2 * kSteps);

  Optimizer begun = rule.make(first.parameters(), options_of(format, 11));
  train(first, begun, 1, kSteps);
  save(folder / "run", begun);
  EXPECT_EQ(folder.names(), "run ");

  train(second, begun, 1, 1);  // begun has moved on, and second has other gradients
  for (std::size_t i = 0; i < second.size(); ++i)
    second.value(i).write(std::vector<float>(second.value(i).floats().size(), 7.0f));
  Optimizer resumed = rule.make(second.parameters(), options_of(format, 12));
  const LoadedDict loaded = load(folder / "run", resumed);
  EXPECT_TRUE(loaded.missing.empty() && loaded.unexpected.empty());
  train(second, resumed, kSteps + 1, 2 * kSteps);
  ASSERT_EQ(all_bytes(whole, steady.state_dict()), all_bytes(second, resumed.state_dict()));
  EXPECT_TRUE(second.intact());
}

class CheckpointOfRule : public testing::TestWithParam<RuleCase> {};
INSTANTIATE_TEST_SUITE_P(Rules, CheckpointOfRule, testing::ValuesIn(one_case_per_layout()), by_name);

TEST_P(CheckpointOfRule, ContinuesBitForBitInEveryFormat) {
  for (const FormatCase& format : all_format_cases()) {
    SCOPED_TRACE(format.name);
    expect_continued(GetParam(), format);
  }
}

TEST_P(CheckpointOfRule, HasTheBytesThatTheOptimizerHad) {
  for (const FormatCase& format : all_format_cases()) {
    SCOPED_TRACE(format.name);
    const Folder folder;
    const FormatModel model(format, Device::cpu(), kFormatSizes), other(format, Device::cpu(), kFormatSizes);
    Optimizer saved = GetParam().make(model.parameters(), options_of(format, 3));
    train(model, saved, 1, 4);
    save(folder / "run", saved);
    Optimizer loaded = GetParam().make(other.parameters(), options_of(format, 3));
    (void)load(folder / "run", loaded);
    EXPECT_TRUE(equal_dicts(saved.state_dict(), loaded.state_dict()));
    for (std::size_t i = 0; i < model.size(); ++i) EXPECT_EQ(model.value(i).bytes(), other.value(i).bytes());
    save(folder / "again", loaded);
    EXPECT_EQ(bytes_of(folder / "run"), bytes_of(folder / "again"));
  }
}

const std::vector<Shape> kShapes{{.numel = 70}, {.numel = 9, .group = 1}, {.numel = 300}};

/// An optimizer with two types of rules, whose hyperparameters, schedules and loss scaler are `made` or those
/// of a new one.
Optimizer varied(Model& model, bool made) {
  Optimizer optimizer{{AdamW{.lr = made ? 0.01 : 1.0, .beta2 = 0.97},
                       SGD{.lr = made ? 0.05 : 1.0, .momentum = 0.5, .weight_decay = 1e-3}},
                      model.parameters(),
                      {.seed = made ? 0xfedcba9876543210u : 1u, .accumulates_gradients = true}};
  if (made) {
    optimizer.set_schedule(
        SequentialLR{.schedules = {WarmUp{.steps = 4}, CosineAnnealingLR{.T_max = 50}}, .milestones = {4}},
        0);
    optimizer.set_schedule(MultiStepLR{.milestones = {2, 7}, .gamma = 0.3}, 1);
  }
  optimizer.set_gradient_handling(
      {.nonfinite = NonFinite::skip, .loss_scaler = LossScaler{.init_scale = 1024.0f, .growth_interval = 2}});
  return optimizer;
}

void take_steps(Model& model, Optimizer& optimizer, int first, int last) {
  for (int step = first; step <= last; ++step) {
    for (int batch = 0; batch < 2; ++batch) {
      model.draw_finite_gradients(2 * step + batch);
      if (step == 5)
        model.draw_gradients(3, 4);  // with Inf and NaN: the step is skipped, the scale backs off
      optimizer.accumulate({.weight = 1.0 + batch});
    }
    optimizer.step();
  }
}

TEST(Checkpoint, RestoresSchedulesLossScaleAndAccumulatedGradients) {
  const Folder folder;
  Model steady_model(kShapes), begun_model(kShapes), resumed_model(kShapes);
  Optimizer steady = varied(steady_model, true), begun = varied(begun_model, true);
  take_steps(steady_model, steady, 1, 6);
  take_steps(begun_model, begun, 1, 6);
  for (auto* pair : {&steady, &begun}) {  // a file in the middle of a window
    (pair == &steady ? steady_model : begun_model).draw_finite_gradients(90);
    pair->accumulate({.weight = 3.0});
  }
  ASSERT_GT(begun.state_dict().skipped_steps, 0);
  ASSERT_NE(begun.loss_scale(), 1024.0f);
  save(folder / "run", begun);

  Optimizer resumed = varied(resumed_model, false);
  (void)load(folder / "run", resumed);
  EXPECT_TRUE(equal_dicts(begun.state_dict(), resumed.state_dict()));
  EXPECT_EQ(resumed.rule<AdamW>(0).beta2, 0.97);
  EXPECT_EQ(resumed.schedule(0), begun.schedule(0));
  take_steps(steady_model, steady, 7, 12);
  take_steps(resumed_model, resumed, 7, 12);
  EXPECT_TRUE(
      equal_bits(snapshot(steady_model.parameters(), steady), snapshot(resumed_model.parameters(), resumed)));
  EXPECT_EQ(steady.loss_scale(), resumed.loss_scale());
}

TEST(Checkpoint, HoldsSeveralOptimizersInOneFile) {
  const Folder folder;
  const std::vector<Shape> of_critic{{.numel = 33, .id = 7}, {.numel = 5, .id = 8}};
  Model actor_model(kShapes), critic_model(of_critic), actor_copy(kShapes), critic_copy(of_critic);
  const auto make_actor = [](Model& model) {
    return Optimizer{{AdamW{}, SGD{.momentum = 0.9}}, model.parameters()};
  };
  Optimizer actor = make_actor(actor_model), critic{RMSProp{.momentum = 0.5}, critic_model.parameters()};
  train_finite(actor_model, actor, 3);
  train_finite(critic_model, critic, 5);
  save(folder / "both", {actor, critic});

  Optimizer new_actor = make_actor(actor_copy),
            new_critic{RMSProp{.momentum = 0.5}, critic_copy.parameters()};
  (void)load(folder / "both", {new_actor, new_critic});
  EXPECT_TRUE(equal_dicts(actor.state_dict(), new_actor.state_dict()));
  EXPECT_TRUE(equal_bits(snapshot(critic_model.parameters(), critic),
                         snapshot(critic_copy.parameters(), new_critic)));

  EXPECT_TRUE(refused([&] { (void)load(folder / "both", new_critic); }, {"both", "2 optimizers", "1"}));
  // The second fits no more, so the first must not change either.
  train_finite(actor_copy, new_actor, 1);
  const Snapshot before = snapshot(actor_copy.parameters(), new_actor);
  Optimizer wrong{SGD{}, critic_copy.parameters()};
  EXPECT_TRUE(refused([&] { (void)load(folder / "both", {new_actor, wrong}); }, {"\"t7\"", "square_avg"}));
  EXPECT_TRUE(equal_bits(before, snapshot(actor_copy.parameters(), new_actor)));
  EXPECT_EQ(new_actor.steps(), 4);
}

TEST(Checkpoint, RefusesNamesThatStandForTwoTensors) {
  const Folder folder;
  std::vector<float> a(3), b(3);
  const auto two = [&](const char* other) {
    return Optimizer{AdamW{}, std::vector<Parameter>{{.name = "a", .value = a}, {.name = other, .value = b}}};
  };
  for (const char* const name : {"a/exp_avg", "a/exp_avg_sq", "__metadata__"}) {
    EXPECT_TRUE(refused([&] { save(folder / "run", two(name)); },
                        {"run", std::string("\"") + name + "\"", "rename"}));
  }
  EXPECT_TRUE(refused([&] { save(folder / "run", two("a\xff")); }, {"UTF-8"}));
  const Optimizer one = two("b"), other = two("c");
  EXPECT_TRUE(refused([&] { save(folder / "run", {one, other}); }, {"two of its optimizers", "\"a\""}));
  EXPECT_EQ(folder.names(), "");
  // Without such a state, '/' and every other letter are fine.
  Optimizer odd = two("a/b\"\n\\/exp_avg \xc3\xa9");
  b = {1, 2, 3};
  save(folder / "run", odd);
  b = {0, 0, 0};
  (void)load(folder / "run", odd);
  EXPECT_EQ(b, (std::vector<float>{1, 2, 3}));
}

TEST(Checkpoint, LeavesOutTheParametersIfItIsTold) {
  const Folder folder;
  Model model(kShapes), other(kShapes);
  const auto make = [](Model& of) { return Optimizer{{AdamW{}, SGD{.momentum = 0.5}}, of.parameters()}; };
  Optimizer saved = make(model), loaded = make(other);
  train_finite(model, saved, 2);
  save(folder / "states", saved, {.parameters = false});
  save(folder / "all", saved);
  EXPECT_LT(bytes_of(folder / "states").size() + 379 * sizeof(float), bytes_of(folder / "all").size());
  const std::vector<float> before = read(other.value(0).tensor());
  EXPECT_TRUE(refused([&] { (void)load(folder / "states", loaded); }, {"without", "values", "parameters"}));
  for (const char* const file : {"states", "all"}) {
    (void)load(folder / file, loaded, {.parameters = false});
    EXPECT_EQ(read(other.value(0).tensor()), before);
    EXPECT_TRUE(equal_dicts(saved.state_dict(), loaded.state_dict()));
  }
  (void)load(folder / "all", loaded);
  EXPECT_EQ(read(other.value(0).tensor()), read(model.value(0).tensor()));
}

TEST(Checkpoint, HoldsMetadataOfTheCaller) {
  const Folder folder;
  Model model(kShapes);
  const Optimizer optimizer{{AdamW{}, SGD{}}, model.parameters()};
  const CheckpointMetadata metadata{{"epoch", "12"}, {"a \"b\"\n", "\xc3\xa9\\"}, {"", ""}};
  save(folder / "run", optimizer, {.metadata = metadata});
  EXPECT_EQ(load_metadata(folder / "run"), metadata);
  for (const char* const taken : {"onepass", "xxh3"}) {
    EXPECT_TRUE(refused([&] { save(folder / "other", optimizer, {.metadata = {{taken, ""}}}); }, {taken}));
  }
  EXPECT_TRUE(refused([&] { save(folder / "other", optimizer, {.metadata = {{"k", "\x80"}}}); }, {"UTF-8"}));
  EXPECT_EQ(folder.names(), "run ");
}

TEST(Checkpoint, LoadsAPartOfTheModelIfItIsAllowed) {
  const Folder folder;
  Model small(std::vector<Shape>{{.numel = 70}, {.numel = 9, .id = 5}}),
      large(std::vector<Shape>{{.numel = 70}, {.numel = 8}});
  Optimizer saved{AdamW{.lr = 0.5}, small.parameters()}, loaded{AdamW{}, large.parameters()};
  train_finite(small, saved, 3);
  train_finite(large, loaded, 1);
  save(folder / "run", saved);
  const Snapshot before = snapshot(large.parameters(), loaded);
  EXPECT_TRUE(refused([&] { (void)load(folder / "run", loaded); }, {"run", "\"t5\"", "no such parameter"}));
  EXPECT_TRUE(refused([&] { (void)load(folder / "run", loaded, {.unexpected = Unexpected::ignore}); },
                      {"lacks \"t1\""}));
  EXPECT_TRUE(equal_bits(before, snapshot(large.parameters(), loaded)));
  const LoadedDict names =
      load(folder / "run", loaded, {.missing = Missing::keep, .unexpected = Unexpected::ignore});
  EXPECT_EQ(names.missing, std::vector<std::string>{"t1"});
  EXPECT_EQ(names.unexpected, std::vector<std::string>{"t5"});
  EXPECT_EQ(read(large.value(0).tensor()), read(small.value(0).tensor()));
  EXPECT_EQ(read(large.value(1).tensor()), before.at("t1"));
  EXPECT_EQ(loaded.step_count("t0"), 3);
  EXPECT_EQ(loaded.step_count("t1"), 1);
}

TEST(Checkpoint, WritesTheCopyOfAParameterThatItLoads) {
  const Folder folder;
  std::vector<float> value{1.0f, 1.00390625f, -3.0f}, grad{0, 0, 0};
  std::vector<std::uint16_t> low(3, 0);
  Optimizer optimizer{
      SGD{}, std::vector<Parameter>{
                 {.name = "w", .value = value, .grad = grad, .copy = {low.data(), DType::bfloat16, 3}}}};
  save(folder / "run", optimizer);
  value = {0, 0, 0};
  (void)load(folder / "run", optimizer);
  EXPECT_EQ(value[1], 1.00390625f);
  EXPECT_EQ(low, (std::vector<std::uint16_t>{0x3f80, 0x3f80, 0xc040}));  // ties to even
}

}  // namespace
}  // namespace onepass::test
