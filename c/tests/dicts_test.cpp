// dicts_test.cpp - state dicts and checkpoints go through the interface bit for bit.
#include <gtest/gtest.h>

#include <unistd.h>

#include <algorithm>
#include <filesystem>
#include <fstream>
#include <string>
#include <vector>

#include "c/onepass.h"
#include "c/tests/model.hpp"

namespace onepass::test {
namespace {

const onepass_options kAccumulating{.size = sizeof kAccumulating, .accumulates_gradients = 1, .seed = 4};

const std::vector<onepass_setting> kMomentum{{"momentum", 0.9, nullptr}};

/// Two groups, a schedule, some steps, and a micro-batch that waits.
struct Trained {
  Model model;
  Handle optimizer;

  explicit Trained(int steps, const onepass_options* options = &kAccumulating)
      : optimizer(create({group_of("SGD", kMomentum), group_of("AdamW")}, model.tensors(2), options)) {
    if (steps == 0) return;
    ScheduleHandle schedule;
    const onepass_setting gamma{"gamma", 0.9, nullptr};
    expect_ok(onepass_schedule_create("ExponentialLR", &gamma, 1, &schedule));
    expect_ok(onepass_set_schedule(optimizer.get(), 1, schedule));
    for (int i = 0; i < steps; ++i) accumulate(i), expect_ok(onepass_step(optimizer.get(), nullptr));
    accumulate(77);
  }
  void accumulate(int i) {
    model.set_gradients(i);
    expect_ok(onepass_accumulate(optimizer.get(), nullptr, nullptr));
  }
  /// Goes on for a step and returns the values.
  std::vector<std::uint32_t> go_on() {
    accumulate(5);
    expect_ok(onepass_step(optimizer.get(), nullptr));
    return model.bits();
  }
};

/// Copies a dict member by member, as a program does that has a file format of its own.
void copy(const onepass_dict* from, onepass_dict* to) {
  onepass_dict_counts counts{.size = sizeof counts};
  expect_ok(onepass_dict_get_counts(from, &counts));
  expect_ok(onepass_dict_set_counts(to, &counts));
  for (std::int64_t g = 0; g < counts.group_count; ++g) {
    const char* rule = nullptr;
    std::int64_t count = 0;
    expect_ok(onepass_dict_group(from, g, &rule, &count));
    std::vector<onepass_text> texts(static_cast<std::size_t>(count));
    for (std::int64_t i = 0; i < count; ++i) {
      expect_ok(onepass_dict_hyperparameter(from, g, i, &texts[static_cast<std::size_t>(i)]));
    }
    expect_ok(onepass_dict_add_group(to, rule, texts.data(), count));
  }
  for (std::int64_t g = 0; g < counts.schedule_count; ++g) {
    ScheduleHandle schedule;
    expect_ok(onepass_dict_schedule(from, g, &schedule));
    expect_ok(onepass_dict_add_schedule(to, schedule));
  }
  for (std::int64_t p = 0; p < counts.parameter_count; ++p) {
    onepass_saved_parameter parameter{.size = sizeof parameter};
    expect_ok(onepass_dict_parameter(from, p, &parameter));
    std::vector<onepass_saved_state> states(static_cast<std::size_t>(parameter.state_count));
    for (std::int64_t i = 0; i < parameter.state_count; ++i) {
      states[static_cast<std::size_t>(i)].size = sizeof(onepass_saved_state);
      expect_ok(onepass_dict_state(from, p, i, &states[static_cast<std::size_t>(i)]));
    }
    expect_ok(onepass_dict_add_parameter(to, &parameter, states.data()));
  }
}

TEST(CDicts, ACopiedDictContinuesExactly) {
  Trained trained(3), fresh(0);
  DictHandle dict, copied;
  expect_ok(onepass_state_dict(trained.optimizer.get(), nullptr, &dict));
  expect_ok(onepass_dict_create(&copied));
  copy(dict, copied);
  expect_ok(onepass_load_state_dict(fresh.optimizer.get(), copied, nullptr, nullptr, nullptr, nullptr));
  // The optimizer keeps the addresses: the numbers are copied, and not the vectors.
  for (std::size_t i = 0; i < fresh.model.values.size(); ++i) {
    std::ranges::copy(trained.model.values[i], fresh.model.values[i].begin());
  }
  EXPECT_EQ(fresh.go_on(), trained.go_on());
}

TEST(CDicts, PartsOfAModelAreLoadedIfTheOptionsSaySo) {
  Trained trained(2);
  DictHandle dict;
  expect_ok(onepass_state_dict(trained.optimizer.get(), nullptr, &dict));
  Trained other(0);
  const char* const removed[] = {"tensor 1"};
  expect_ok(onepass_remove_parameters(other.optimizer.get(), removed, 1));
  Model more;
  auto added = more.tensors();
  added[0].name = "head";
  expect_ok(onepass_add_parameters(other.optimizer.get(), added.data(), 1));
  EXPECT_NE(refusal(onepass_load_state_dict(other.optimizer.get(), dict, nullptr, nullptr, nullptr, nullptr)),
            "");
  const onepass_load_options lenient{.size = sizeof lenient, .keep_missing = 1, .ignore_unexpected = 1};
  TextsHandle missing, unexpected;
  // The dict has accumulated a micro-batch, of which the new parameter has no part.
  EXPECT_NE(
      refusal(onepass_load_state_dict(other.optimizer.get(), dict, &lenient, nullptr, &missing, &unexpected)),
      "");
  EXPECT_EQ(missing.handle, nullptr);
  expect_ok(onepass_drop_accumulated(trained.optimizer.get(), nullptr));
  DictHandle later;
  expect_ok(onepass_state_dict(trained.optimizer.get(), nullptr, &later));
  expect_ok(onepass_load_state_dict(other.optimizer.get(), later, &lenient, nullptr, &missing, &unexpected));
  EXPECT_EQ(texts_of(missing), std::vector<std::string>{"head"});
  EXPECT_EQ(texts_of(unexpected), std::vector<std::string>{"tensor 1"});
}

TEST(CDicts, RefuseBadArguments) {
  Trained trained(1);
  DictHandle dict;
  expect_ok(onepass_dict_create(&dict));
  onepass_dict_counts counts{};
  EXPECT_NE(refusal(onepass_dict_get_counts(dict, &counts)), "");
  counts.size = sizeof counts;
  EXPECT_EQ(refusal(onepass_dict_get_counts(nullptr, &counts)), "onepass: dict is null");
  const char* rule = nullptr;
  std::int64_t count = 0;
  EXPECT_EQ(refusal(onepass_dict_group(dict, 0, &rule, &count)),
            "onepass: group is 0; it must be in a list, but the list is empty");
  onepass_saved_parameter parameter{.size = sizeof parameter, .name = "w", .state_count = 1};
  EXPECT_EQ(refusal(onepass_dict_add_parameter(dict, &parameter, nullptr)), "onepass: states is null");
  onepass_saved_state state{.size = sizeof state, .name = "exp_avg", .byte_count = -4};
  EXPECT_EQ(refusal(onepass_dict_add_parameter(dict, &parameter, &state)),
            "onepass: byte_count is -4; it must be 0 or more");
  EXPECT_EQ(
      refusal(onepass_load_state_dict(trained.optimizer.get(), nullptr, nullptr, nullptr, nullptr, nullptr)),
      "onepass: dict is null");
  EXPECT_NE(
      refusal(onepass_load_state_dict(trained.optimizer.get(), dict, nullptr, nullptr, nullptr, nullptr)),
      "");
  const onepass_load_options shards{.size = sizeof shards, .shards = 1};
  EXPECT_EQ(
      refusal(onepass_load_state_dict(trained.optimizer.get(), dict, &shards, nullptr, nullptr, nullptr)),
      "onepass: shards and skip_parameters are for onepass_load()");
}

class CCheckpoints : public testing::Test {
 protected:
  const std::filesystem::path folder =
      std::filesystem::temp_directory_path() / ("onepass_c_checkpoints_" + std::to_string(getpid()));
  const std::string path = (folder / "model.safetensors").string();

  void SetUp() override { std::filesystem::create_directories(folder); }
  void TearDown() override { std::filesystem::remove_all(folder); }
};

TEST_F(CCheckpoints, AreSavedAndLoaded) {
  Trained trained(3), fresh(0);
  const onepass_optimizer* const saved[] = {trained.optimizer.get()};
  const onepass_text metadata[] = {{"epoch", "12"}, {"note", "first"}};
  const onepass_save_options options{.size = sizeof options, .metadata = metadata, .metadata_count = 2};
  expect_ok(onepass_save(path.c_str(), saved, 1, &options, nullptr));
  TextsHandle read;
  expect_ok(onepass_load_metadata(path.c_str(), &read));
  EXPECT_EQ(texts_of(read), (std::vector<std::string>{"epoch", "12", "note", "first"}));

  const char* const paths[] = {path.c_str()};
  onepass_optimizer* const loaded[] = {fresh.optimizer.get()};
  TextsHandle missing, unexpected;
  expect_ok(onepass_load(paths, 1, loaded, 1, nullptr, nullptr, &missing, &unexpected));
  EXPECT_TRUE(texts_of(missing).empty());
  EXPECT_TRUE(texts_of(unexpected).empty());
  EXPECT_EQ(fresh.model.bits(), trained.model.bits());
  EXPECT_EQ(fresh.go_on(), trained.go_on());

  // States alone: the values stay.
  Trained other(0);
  const std::vector<std::uint32_t> before = other.model.bits();
  onepass_optimizer* const again[] = {other.optimizer.get()};
  const onepass_load_options states{.size = sizeof states, .skip_parameters = 1};
  expect_ok(onepass_load(paths, 1, again, 1, &states, nullptr, nullptr, nullptr));
  EXPECT_EQ(other.model.bits(), before);
}

TEST_F(CCheckpoints, RefuseFilesAndArguments) {
  Trained trained(1);
  const onepass_optimizer* const saved[] = {trained.optimizer.get()};
  onepass_optimizer* const loaded[] = {trained.optimizer.get()};
  EXPECT_EQ(onepass_save((folder / "none" / "file").c_str(), saved, 1, nullptr, nullptr), ONEPASS_FILE_ERROR);
  EXPECT_NE(std::string(onepass_last_error()), "");
  EXPECT_EQ(refusal(onepass_save(nullptr, saved, 1, nullptr, nullptr)), "onepass: path is null");
  EXPECT_EQ(refusal(onepass_save(path.c_str(), nullptr, 1, nullptr, nullptr)), "onepass: optimizers is null");
  const onepass_text twice[] = {{"a", "1"}, {"a", "2"}};
  const onepass_save_options options{.size = sizeof options, .metadata = twice, .metadata_count = 2};
  EXPECT_EQ(refusal(onepass_save(path.c_str(), saved, 1, &options, nullptr)),
            "onepass: metadata has the name \"a\" twice");
  std::ofstream(path) << "no checkpoint";
  const char* const paths[] = {path.c_str()};
  EXPECT_NE(refusal(onepass_load(paths, 1, loaded, 1, nullptr, nullptr, nullptr, nullptr)), "");
  TextsHandle metadata;
  EXPECT_NE(refusal(onepass_load_metadata(path.c_str(), &metadata)), "");
  EXPECT_EQ(metadata.handle, nullptr);
}

}  // namespace
}  // namespace onepass::test
