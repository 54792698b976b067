// shards_test.cpp - the files of any number of shards make the shards of any other number.
#include <gtest/gtest.h>

#include <memory>

#include "support/checkpoint/files.hpp"
#include "support/formats/format_model.hpp"
#include "support/formats/format_state.hpp"
#include "support/named.hpp"
#include "support/numbers/values.hpp"
#include "support/refusal.hpp"

namespace onepass::test {
namespace {

constexpr std::int64_t kNumel = 32 * 13 + 7;  // 14 blocks, the last of which is cut short
constexpr std::int64_t kBias = 20;            // a tensor that only the first shard has

/// Where shard `rank` of `ranks` begins: whole blocks, as even as they come.
std::int64_t begin_of(int rank, int ranks) {
  const std::int64_t blocks = (kNumel + 31) / 32;
  return std::min(blocks * rank / ranks * 32, kNumel);
}

/// One shard of a tensor "w", and all of a tensor "b" on the first rank.
class Shard {
 public:
  Shard(const FormatCase& format, int rank, int ranks, float filled = 0.0f)
      : format_(format), begin_(begin_of(rank, ranks)), end_(begin_of(rank + 1, ranks)) {
    add("w", begin_, end_ - begin_, filled);
    if (rank == 0) add("b", 0, kBias, filled);
    optimizer_ = std::make_unique<Optimizer>(AdamW{.lr = 0.01}, parameters_,
                                             Options{.storage = format.low(),
                                                     .float32_storage = format.wide(),
                                                     .seed = 5,
                                                     .ema = EMA{.decay = 0.9},
                                                     .accumulates_gradients = true});
  }

  /// Takes steps with the gradients that the whole tensors have. Ends in the middle of an accumulation.
  void train(int first, int last) {
    for (int step = first; step <= last; ++step) {
      draw(step);
      optimizer_->accumulate();
      optimizer_->step();
    }
    draw(last + 100);
    optimizer_->accumulate();
  }
  [[nodiscard]] Optimizer& optimizer() { return *optimizer_; }
  [[nodiscard]] std::vector<Parameter> parameters() const { return parameters_; }
  [[nodiscard]] const FormatBuffer& value(std::size_t i) const { return values_[i]; }

 private:
  void add(const char* name, std::int64_t first, std::int64_t numel, float filled) {
    values_.emplace_back(Device::cpu(), format_.param, numel, 0);
    grads_.emplace_back(Device::cpu(), format_.grad, numel, 0);
    std::vector<float> whole(static_cast<std::size_t>(first + numel), filled);
    if (filled == 0.0f) draw_value(whole, parameters_.size());
    values_.back().write({whole.begin() + first, whole.end()});
    parameters_.push_back(
        {.name = name, .value = values_.back().tensor(), .grad = grads_.back().tensor(), .first = first});
  }
  void draw(int step) {
    for (std::size_t i = 0; i < parameters_.size(); ++i) {
      const std::int64_t first = parameters_[i].first;
      std::vector<float> whole(static_cast<std::size_t>(first + parameters_[i].value.numel));
      draw_gradient(whole, i, 1000 + step, 200);
      grads_[i].write({whole.begin() + first, whole.end()});
    }
  }

  FormatCase format_;
  std::int64_t begin_, end_;
  std::vector<FormatBuffer> values_, grads_;
  std::vector<Parameter> parameters_;
  std::unique_ptr<Optimizer> optimizer_;
};

/// Trains `ranks` shards and saves each of them to a file.
std::vector<std::filesystem::path> saved_shards(const Folder& folder, const FormatCase& format, int ranks) {
  std::vector<std::filesystem::path> files;
  for (int rank = 0; rank < ranks; ++rank) {
    Shard shard(format, rank, ranks);
    shard.train(1, 3);
    files.push_back(folder / ("rank" + std::to_string(rank) + "of" + std::to_string(ranks)));
    save(files.back(), shard.optimizer());
  }
  return files;
}

class Shards : public testing::TestWithParam<FormatCase> {};
INSTANTIATE_TEST_SUITE_P(Formats, Shards,
                         testing::ValuesIn({format_case("float32"), format_case("all_bf16_stochastic"),
                                            format_case("bf16_master"), format_case("bf16_split"),
                                            format_case("compact")}),
                         by_name);

TEST_P(Shards, OfAnyNumberMakeAnyOtherNumber) {
  constexpr LoadCheckpointOptions kPart{.unexpected = Unexpected::ignore, .shards = true};
  const Folder folder;
  for (int from = 1; from <= 7; ++from) {
    const std::vector<std::filesystem::path> files = saved_shards(folder, GetParam(), from);
    for (int to = 1; to <= 7; ++to) {
      for (int rank = 0; rank < to; ++rank) {
        SCOPED_TRACE(testing::Message() << from << " shards, rank " << rank << " of " << to);
        Shard wanted(GetParam(), rank, to), loaded(GetParam(), rank, to, 9.0f);
        wanted.train(1, 3);
        const LoadedDict names = load(files, loaded.optimizer(), kPart);
        ASSERT_EQ(names.unexpected, rank == 0 ? std::vector<std::string>{} : std::vector<std::string>{"b"});
        ASSERT_TRUE(equal_dicts(wanted.optimizer().state_dict(), loaded.optimizer().state_dict()));
        for (std::size_t i = 0; i < wanted.parameters().size(); ++i) {
          ASSERT_EQ(wanted.value(i).bytes(), loaded.value(i).bytes());
        }
      }
    }
  }
}

class ShardFiles : public testing::Test {
 protected:
  /// Expects that files are refused and that the shard that they were to be loaded into keeps all bits.
  void expect_refused(const CheckpointFiles& files, std::initializer_list<std::string> words,
                      const LoadCheckpointOptions& options = {}) {
    const StateDict before = whole_.optimizer().state_dict();
    const std::vector<std::byte> value = whole_.value(0).bytes();
    EXPECT_TRUE(refused([&] { (void)load(files, whole_.optimizer(), options); }, words));
    EXPECT_TRUE(equal_dicts(before, whole_.optimizer().state_dict()));
    EXPECT_EQ(value, whole_.value(0).bytes());
  }

  const Folder folder_;
  const FormatCase format_ = format_case("compact");
  const std::vector<std::filesystem::path> two_ = saved_shards(folder_, format_, 2);
  const std::vector<std::filesystem::path> three_ = saved_shards(folder_, format_, 3);
  Shard whole_{format_, 0, 1};
};

TEST_F(ShardFiles, ThatLackAnElementAreRefused) {
  for (const bool shards : {false, true}) {
    expect_refused(two_[0], {"\"w\"", "lacks element 224", "0 to 423"}, {.shards = shards});
    expect_refused({three_[0], three_[2]}, {"\"w\"", "lacks element 128"}, {.shards = shards});
    expect_refused({two_[1]}, {"\"w\"", "lacks element 0"}, {.missing = Missing::keep, .shards = shards});
  }
}

TEST_F(ShardFiles, ThatHaveAnElementTwiceAreRefused) {
  expect_refused({two_[0], two_[1], three_[2]}, {"two files have element 288 of \"w\""});
  expect_refused({two_[0], two_[1], two_[1]}, {"two files have element 224 of \"w\""});
  expect_refused({two_[0], two_[1], two_[0]}, {"two files have element"});
}

TEST_F(ShardFiles, ThatDisagreeAreRefused) {
  for (const int other_steps : {2, 4}) {
    Shard other(format_, 1, 2);
    other.train(1, other_steps);
    save(folder_ / "other", other.optimizer());
    expect_refused({two_[0], folder_ / "other"},
                   {"other\" cannot be loaded", "\"steps\" of optimizer 0 is " + std::to_string(other_steps),
                    "3", "rank0of2"});
  }
  Shard other(format_, 1, 2);
  other.train(1, 3);
  other.optimizer().set_lr(0.5);
  save(folder_ / "other", other.optimizer());
  expect_refused({two_[0], folder_ / "other"}, {"groups", "0.5", "0.01"});
  other.optimizer().set_lr(0.01);
  save(folder_ / "other", other.optimizer(), {.parameters = false});
  expect_refused({two_[0], folder_ / "other"}, {"parameters", "false"});
}

TEST_F(ShardFiles, WithOneDamagedFileAreRefused) {
  std::string bytes = bytes_of(two_[1]);
  bytes.back() = static_cast<char>(bytes.back() ^ 1);
  write_bytes(folder_ / "damaged", bytes);
  expect_refused({two_[0], folder_ / "damaged"}, {"damaged\" cannot be loaded: it is damaged"});
}

// A parameter of another model has another size too, so a smaller one must be asked for.
TEST_F(ShardFiles, OfALargerTensorAreRefusedUnlessAPartIsAskedFor) {
  Shard part(format_, 0, 2);
  EXPECT_TRUE(refused([&] { (void)load(two_, part.optimizer()); },
                      {"rank0of2\" and 1 other file", "\"w\"", "0 to 224 here", "0 to 423", "shards"}));
  (void)load(two_, part.optimizer(), {.shards = true});
  EXPECT_EQ(part.optimizer().steps(), 3);
}

// The optimizers of all ranks count the same steps, but a rank may have nothing of a tensor, and no gradient.
TEST(EmptyShards, DoNotContradictTheOthers) {
  const Folder folder;
  std::vector<float> value{1, 2, 3}, grad{1, 1, 1};
  Optimizer full{AdamW{}, std::vector<Parameter>{{.name = "w", .value = value, .grad = grad}}};
  Optimizer empty{AdamW{},
                  std::vector<Parameter>{{.name = "w", .value = {nullptr, DType::float32, 0}, .first = 32}}};
  full.step();
  empty.step();
  ASSERT_EQ(full.step_count("w"), 1);
  ASSERT_EQ(empty.step_count("w"), 0);
  save(folder / "full", full);
  save(folder / "empty", empty);
  value = {0, 0, 0};
  (void)load({folder / "empty", folder / "full"}, full);
  EXPECT_EQ(full.step_count("w"), 1);
  EXPECT_NE(value[0], 0.0f);
  (void)load({folder / "empty", folder / "full"}, empty, {.shards = true});
  EXPECT_EQ(empty.step_count("w"), 1);
}

}  // namespace
}  // namespace onepass::test
