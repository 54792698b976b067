// cuts_test.cpp - shards of any cut save what shards of any other cut load, by elements and by columns.
#include <gtest/gtest.h>

#include <cmath>

#include "support/checkpoint/files.hpp"
#include "support/formats/sharded.hpp"
#include "support/named.hpp"
#include "support/refusal.hpp"

namespace onepass::test {
namespace {

constexpr std::int64_t kRows = 7, kColumns = 90, kNumel = kRows * kColumns;

Options options_of(std::uint64_t seed) {
  return {.seed = seed, .ema = EMA{.decay = 0.9, .dtype = DType::bfloat16}};
}

Sharded make_shards(const FormatCase& format, const Places& cut) {
  return {rule_case("AdamW", AdamW{.lr = 0.01}), format, Device::cpu(), cut, options_of(7)};
}

/// Saves each shard to a file of its own.
std::vector<std::filesystem::path> saved(const Folder& folder, Sharded& shards, const std::string& name) {
  std::vector<std::filesystem::path> files;
  for (std::size_t s = 0; s < shards.size(); ++s) {
    files.push_back(folder / (name + std::to_string(s)));
    save(files.back(), shards.optimizer(s));
  }
  return files;
}

void load_all(const std::vector<std::filesystem::path>& files, Sharded& shards) {
  for (std::size_t s = 0; s < shards.size(); ++s) (void)load(files, shards.optimizer(s), {.shards = true});
}

std::vector<Places> cuts() {
  return {{{kNumel, 0}},
          cut_by_elements(kNumel, 3, 1, 1),
          cut_by_elements(kNumel, 7, 1, 2),
          cut_by_elements(kNumel, 4, 32, 3),
          cut_by_columns(kRows, kColumns, 2, 1, 4),
          cut_by_columns(kRows, kColumns, 5, 1, 5),
          cut_by_columns(kRows, kColumns, 3, 9, 6)};
}

/// The part of its block that the shard and run of each element have, by the first element of it.
std::vector<std::pair<std::int64_t, std::int64_t>> parts_of(const Places& cut) {
  std::map<std::tuple<std::size_t, std::int64_t, std::int64_t>, std::pair<std::int64_t, std::int64_t>> ends;
  const auto visit = [&](const auto& work) {
    for (std::size_t s = 0; s < cut.size(); ++s) {
      for (std::int64_t i = 0; i < cut[s].numel; ++i) {
        const std::int64_t at = cut[s].logical(i);
        work(at, ends.try_emplace({s, cut[s].run_of(i), at / kBlock}, at, at).first->second);
      }
    }
  };
  visit([](std::int64_t at, auto& part) { part.second = at; });
  std::vector<std::pair<std::int64_t, std::int64_t>> parts(kNumel);
  visit([&](std::int64_t at, const auto& part) { parts[static_cast<std::size_t>(at)] = part; });
  return parts;
}

/// Expects two cuts of 8-bit states to hold the same numbers, but for those that were encoded anew: their
/// error is below half the distance of two codes of Signed8, which is at most scale / 59 (quantized8.hpp),
/// and below the scale / 255 of one code of Nonnegative8 in the root, since a number above 0 has a code of at
/// least 1; plus rounding below 2^-20. The scale is at most 1 + 2^-7 times the largest number that is
/// encoded.
void expect_close(const Sharded& expected, const Sharded& actual) {
  for (const std::size_t s : {0, 1}) {
    const bool is_root = s == 1;
    const std::vector<float> before = expected.state(s), after = actual.state(s);
    const auto number = [&](float x) { return is_root ? std::sqrt(double{x}) : double{x}; };
    std::map<std::int64_t, double> largest;
    for (std::size_t i = 0; i < before.size(); ++i) {
      double& of_block = largest[static_cast<std::int64_t>(i) / kBlock];
      of_block = std::max(of_block, std::abs(number(before[i])));
    }
    for (std::size_t i = 0; i < before.size(); ++i) {
      const double scale = (1 + 0x1p-7) * largest[static_cast<std::int64_t>(i) / kBlock];
      const double most = scale * ((is_root ? 1.0 / 255 : 0.5 / 59) + 0x1p-20);
      ASSERT_LE(std::abs(number(before[i]) - number(after[i])), most) << "state " << s << ", element " << i;
    }
  }
}

class CheckpointCuts : public testing::TestWithParam<FormatCase> {};
INSTANTIATE_TEST_SUITE_P(All, CheckpointCuts,
                         testing::ValuesIn({format_case("float32"), format_case("all_bf16_stochastic"),
                                            format_case("bf16_master"), format_case("bf16_split_q8"),
                                            format_case("f32_q8"), format_case("compact")}),
                         by_name);

TEST_P(CheckpointCuts, OfAnyKindLoadAnyOther) {
  const bool has_codes = GetParam().storage.states == States::quantized8;
  const Folder folder;
  for (const Places& from : cuts()) {
    Sharded trained = make_shards(GetParam(), from);
    for (int step = 1; step <= 3; ++step) trained.step(1000 + step, 200);
    const std::vector<std::filesystem::path> files = saved(folder, trained, "of");
    const std::vector<std::string> expected = trained.elements();
    for (const Places& to : cuts()) {
      SCOPED_TRACE(testing::Message()
                   << from.size() << " by " << from[0].run << " to " << to.size() << " by " << to[0].run);
      Sharded loaded = make_shards(GetParam(), to);
      load_all(files, loaded);
      const std::vector<std::string> actual = loaded.elements();
      const auto parts_from = parts_of(from), parts_to = parts_of(to);
      for (std::size_t i = 0; i < expected.size(); ++i) {
        if (has_codes && parts_from[i] != parts_to[i]) continue;
        ASSERT_EQ(expected[i], actual[i]) << "element " << i;
      }
      if (has_codes) expect_close(trained, loaded);
      if (HasFatalFailure()) return;
      ASSERT_TRUE(loaded.intact());
    }
  }
}

// Every part of a block is encoded as if it were a tensor's whole block, whatever the file had.
TEST(CheckpointCuts, LoadAnotherFormatToo) {
  const Folder folder;
  const FormatCase &wide = format_case("float32"), &compact = format_case("compact");
  for (const Places& from : cuts()) {
    Sharded trained = make_shards(wide, from);
    for (int step = 1; step <= 3; ++step) trained.step(1000 + step, 200);
    const std::vector<std::filesystem::path> files = saved(folder, trained, "wide");
    Sharded whole = make_shards(compact, {{kNumel, 0}});
    load_all(files, whole);
    for (const Places& to : cuts()) {
      Sharded loaded = make_shards(compact, to);
      load_all(files, loaded);
      ASSERT_TRUE(equal_elements(whole, loaded, compact));
      ASSERT_EQ(whole.values(), loaded.values());
    }
  }
}

TEST(CheckpointCuts, ThatLackAnElementOrHaveOneTwiceAreRefused) {
  const Folder folder;
  const FormatCase& format = format_case("float32");
  Sharded columns = make_shards(format, {{kRows * 40, 0, 40, 90}, {kRows * 50, 40, 50, 90}});
  Sharded crossing = make_shards(format, {{2, 88}, {kRows * 50, 40, 50, 90}});
  Sharded whole = make_shards(format, {{kNumel, 0}});
  const auto two = saved(folder, columns, "two"), other = saved(folder, crossing, "other");
  const std::string here = "\"w\" has the elements from 0 to 630 here, but the file lacks element ";
  EXPECT_TRUE(refused([&] { (void)load(two[0], whole.optimizer(0)); }, {here + "40"}));
  EXPECT_TRUE(refused([&] { (void)load(two[1], whole.optimizer(0)); }, {here + "0"}));
  EXPECT_TRUE(refused(
      [&] {
        (void)load({two[0], two[1], other[0]}, whole.optimizer(0));
      },
      {"two files have element 88 of \"w\""}));
  EXPECT_TRUE(refused([&] { (void)load(two[1], columns.optimizer(0), {.shards = true}); },
                      {"\"w\" has the elements from 0 to 580 in runs of 40 that begin 90 apart here",
                       "the file lacks element 0"}));
  EXPECT_TRUE(refused(
      [&] {
        (void)load({two[0], two[1]}, columns.optimizer(0));
      },
      {"\"w\" has the elements from 0 to 580 in runs of 40", "from 0 to 630 in the file"}));
  EXPECT_NO_THROW((void)load({two[0], two[1]}, whole.optimizer(0)));
}

}  // namespace
}  // namespace onepass::test
