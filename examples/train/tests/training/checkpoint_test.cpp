// checkpoint_test.cpp - saved runs: files are read back as written, and damaged files are refused.
#include "training/checkpoint.hpp"

#include <cmath>
#include <fstream>

#include "onepass/schedules/multi_step_lr.hpp"
#include "onepass/schedules/sequential_lr.hpp"
#include "onepass/schedules/warm_up.hpp"
#include "tests/support.hpp"
#include "training/hyperparameters.hpp"

namespace train {
namespace {

using testing::Folder;
using testing::sentence;

Checkpoint example() {
  Checkpoint checkpoint;
  checkpoint.settings = {{"--optimizer", "adamw"}, {"--weight-decay", "1e-300"}, {"--hidden", "30,20"}};
  checkpoint.images = 60000;
  checkpoint.step = 123;
  checkpoint.parameters = {{"layer1.weight", {1.5f, -0.0f}}, {"layer1.bias", {}}};
  checkpoint.optimizer.groups = {{"AdamW", {{"lr", "0.125"}, {"amsgrad", "false"}}}, {"SGD", {}}};
  checkpoint.optimizer.steps = 121;
  checkpoint.optimizer.skipped_steps = 2;
  checkpoint.optimizer.micro_batches = 3;
  checkpoint.optimizer.loss_scale = 0.5f;
  checkpoint.optimizer.growth_tracker = 7;
  checkpoint.optimizer.seed = 13;
  checkpoint.optimizer.schedules = {
      onepass::Schedule{},
      onepass::SequentialLR{.schedules = {onepass::WarmUp{.steps = 5},
                                          onepass::MultiStepLR{.milestones = {3, 9}, .gamma = 0.3}},
                            .milestones = {5}}};
  checkpoint.dropout = {.seed = 9, .offset = 77};
  onepass::SavedParameter saved;
  saved.name = "layer1.weight";
  saved.step = 121;
  saved.states.push_back({.name = "exp_avg", .bytes = {std::byte{1}, std::byte{255}}});
  saved.accumulated = 3;
  saved.gradient_sum = {std::byte{8}, std::byte{0}};
  checkpoint.optimizer.parameters.push_back(saved);
  return checkpoint;
}

std::string contents(const std::filesystem::path& path) {
  std::ifstream file(path, std::ios::binary);
  return {std::istreambuf_iterator<char>(file), {}};
}

void write(const std::filesystem::path& path, const std::string& bytes) {
  std::ofstream(path, std::ios::binary) << bytes;
}

TEST(Checkpoint, ReadingGivesTheWrittenValues) {
  const Folder folder;
  save_checkpoint(example(), folder / "run");
  const Checkpoint read = load_checkpoint(folder / "run");
  ASSERT_EQ(read.settings.size(), 3u);
  EXPECT_EQ(read.settings[1].option, "--weight-decay");
  EXPECT_EQ(read.settings[1].text, "1e-300");
  EXPECT_EQ(read.images, 60000);
  EXPECT_EQ(read.step, 123);
  EXPECT_TRUE(std::signbit(read.parameters.at(0).values.at(1)));
  EXPECT_EQ(read.parameters.at(1).name, "layer1.bias");
  EXPECT_EQ(read.optimizer.steps, 121);
  EXPECT_EQ(read.optimizer.skipped_steps, 2);
  EXPECT_EQ(read.optimizer.micro_batches, 3);
  EXPECT_EQ(read.optimizer.loss_scale, 0.5f);
  EXPECT_EQ(read.optimizer.growth_tracker, 7);
  EXPECT_EQ(read.optimizer.seed, 13u);
  EXPECT_EQ(read.optimizer.groups, example().optimizer.groups);
  EXPECT_EQ(read.optimizer.schedules, example().optimizer.schedules);
  EXPECT_EQ(read.optimizer.schedules.at(1).lr(1.0, 14), 0.3 * 0.3);
  EXPECT_EQ(read.optimizer.parameters.at(0).accumulated, 3);
  EXPECT_EQ(read.optimizer.parameters.at(0).gradient_sum.at(0), std::byte{8});
  EXPECT_EQ(read.dropout, (onepass::RandomPosition{.seed = 9, .offset = 77}));
  EXPECT_EQ(read.optimizer.parameters.at(0).step, 121);
  EXPECT_EQ(read.optimizer.parameters.at(0).states.at(0).bytes.at(1), std::byte{255});
  // Writing it again gives the same file, so nothing that this test does not name was lost.
  save_checkpoint(read, folder / "again");
  EXPECT_EQ(contents(folder / "run"), contents(folder / "again"));
}

TEST(Checkpoint, SavingLeavesNoPartialFileAndKeepsTheOldFileIfItFails) {
  const Folder folder;
  save_checkpoint(example(), folder / "run");
  EXPECT_FALSE(std::filesystem::exists(folder / "run.partial"));
  std::filesystem::create_directory(folder / "run.partial");  // makes writing fail
  const std::string before = contents(folder / "run");
  EXPECT_THROW(save_checkpoint(example(), folder / "run"), Failure);
  EXPECT_EQ(contents(folder / "run"), before);
}

TEST(Checkpoint, EveryCutOffFileIsRefused) {
  const Folder folder;
  save_checkpoint(example(), folder / "run");
  const std::string whole = contents(folder / "run");
  for (std::size_t size = 0; size < whole.size(); ++size) {
    write(folder / "cut", whole.substr(0, size));
    EXPECT_THROW(load_checkpoint(folder / "cut"), Failure) << size;
  }
}

TEST(Checkpoint, EveryDamagedByteIsDetected) {
  const Folder folder;
  save_checkpoint(example(), folder / "run");
  const std::string whole = contents(folder / "run");
  for (std::size_t i = 0; i < whole.size(); ++i) {
    std::string damaged = whole;
    damaged[i] = static_cast<char>(damaged[i] ^ 0x10);
    write(folder / "damaged", damaged);
    EXPECT_THROW(load_checkpoint(folder / "damaged"), Failure) << i;
  }
}

TEST(Checkpoint, UnreadableFilesAreRefusedWithTheReason) {
  const Folder folder;
  const std::string name = (folder / "run").string();
  EXPECT_NE(sentence<Failure>([&] { load_checkpoint(folder / "run"); }).find("cannot be opened"),
            std::string::npos);
  write(folder / "run", "some text");
  EXPECT_EQ(sentence<Failure>([&] { load_checkpoint(folder / "run"); }),
            name + " is not a run that onepass-train has saved");
  save_checkpoint(example(), folder / "run");
  std::string other = contents(folder / "run");
  other[8] = 9;
  write(folder / "run", other);
  EXPECT_EQ(sentence<Failure>([&] { load_checkpoint(folder / "run"); }),
            name + " has version 9 of the file format, but this program reads versions 4 to 5");
}

TEST(Checkpoint, EverySettingIsRestoredBitForBit) {
  Settings settings{.optimizer = "rmsprop", .lr = 0.1, .weight_decay = 1.0 / 3.0};
  settings.l1 = 1e-7;
  settings.l1_mode = onepass::L1::subgradient;
  settings.schedule = "wsd";
  settings.schedule_steps = 1000;
  settings.warmup = 10;
  settings.clip = 1.0 / 7.0;
  settings.clips_each = true;
  settings.lookahead = 3;
  settings.lookahead_alpha = 1.0 / 17.0;
  settings.sam = 1.0 / 11.0;
  settings.asam = 1.0 / 13.0;
  settings.precision = "bf16";
  settings.rounding = onepass::Rounding::stochastic;
  settings.init = "lecun-normal";
  settings.dropout = 0.1;
  settings.accumulate = 2;
  settings.activation = Activation::sigmoid;
  settings.hidden = {7, 64, 64, 64};
  settings.batch_size = 9;
  settings.seed = 123456789012345;
  for (const Setting& setting : hyperparameter_settings()) setting.read(settings, "0.1");
  const std::vector<SavedSetting> saved = save_settings(settings);
  EXPECT_EQ(saved.size(), setting_table().size());
  const Settings read = load_settings(saved);
  for (const Setting& setting : setting_table()) {
    EXPECT_EQ(setting.write(read), setting.write(settings)) << setting.option;
    EXPECT_NE(setting.write(read), setting.write(Settings{})) << setting.option << " proves nothing";
  }
  EXPECT_EQ(read.weight_decay, settings.weight_decay);
  EXPECT_EQ(read.clip, settings.clip);
}

TEST(Checkpoint, MissingSettingsHaveDefaultsAndUnknownSettingsAreRefused) {
  EXPECT_EQ(load_settings({{"--seed", "8"}}).seed, 8u);
  EXPECT_EQ(load_settings({{"--seed", "8"}}).batch_size, Settings{}.batch_size);
  EXPECT_EQ(sentence<Failure>([] {
              load_settings({{"--warp", "9"}});
            }),
            "the saved run has --warp 9, which this program does not know");
  EXPECT_EQ(sentence<Failure>([] {
              load_settings({{"--activation", "gelu"}});
            }),
            "the saved run cannot be read: --activation must be relu, tanh or sigmoid, but is 'gelu'");
}

}  // namespace
}  // namespace train
