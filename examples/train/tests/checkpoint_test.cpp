// checkpoint_test.cpp - saved runs: what is written is read, and nothing else is.
#include "training/checkpoint.hpp"

#include <cmath>
#include <fstream>

#include "tests/support.hpp"

namespace train {
namespace {

using testing::Folder;
using testing::sentence;

Checkpoint example() {
  Checkpoint checkpoint;
  checkpoint.run = {.optimizer = "adamw",
                    .widths = {784, 10},
                    .images = 60000,
                    .batch_size = 64,
                    .seed = 7,
                    .lr = 0.1,
                    .weight_decay = 1e-300};
  checkpoint.step = 123;
  checkpoint.parameters = {{"layer1.weight", {1.5f, -0.0f}}, {"layer1.bias", {}}};
  checkpoint.optimizer.rule = "AdamW";
  checkpoint.optimizer.skipped_steps = 2;
  onepass::SavedParameter saved{.name = "layer1.weight", .step = 121, .states = {}};
  saved.states.push_back({.name = "exp_avg", .bytes = {std::byte{1}, std::byte{255}}});
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

TEST(Checkpoint, ReadsBackWhatWasWritten) {
  const Folder folder;
  save_checkpoint(example(), folder / "run");
  const Checkpoint read = load_checkpoint(folder / "run");
  EXPECT_EQ(read.run.optimizer, "adamw");
  EXPECT_EQ(read.run.widths, (std::vector<std::int64_t>{784, 10}));
  EXPECT_EQ(read.run.weight_decay, 1e-300);
  EXPECT_EQ(read.step, 123);
  EXPECT_TRUE(std::signbit(read.parameters.at(0).values.at(1)));
  EXPECT_EQ(read.parameters.at(1).name, "layer1.bias");
  EXPECT_EQ(read.optimizer.skipped_steps, 2);
  EXPECT_EQ(read.optimizer.parameters.at(0).step, 121);
  EXPECT_EQ(read.optimizer.parameters.at(0).states.at(0).bytes.at(1), std::byte{255});
  // Writing it again gives the same file: nothing was lost that this test does not name.
  save_checkpoint(read, folder / "again");
  EXPECT_EQ(contents(folder / "run"), contents(folder / "again"));
}

TEST(Checkpoint, LeavesNoPartialFileAndKeepsTheOldOneIfItCannotWrite) {
  const Folder folder;
  save_checkpoint(example(), folder / "run");
  EXPECT_FALSE(std::filesystem::exists(folder / "run.partial"));
  std::filesystem::create_directory(folder / "run.partial");  // stands in the way
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

TEST(Checkpoint, EveryDamagedByteIsFound) {
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

TEST(Checkpoint, SaysWhatIsWrongWithAFile) {
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
            name + " has version 9 of the file format, but this program reads version 1");
}

}  // namespace
}  // namespace train
