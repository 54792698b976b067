// data_test.cpp - IDX files, data sets and random orders.
#include <zlib.h>

#include <algorithm>
#include <cmath>
#include <cstring>
#include <fstream>
#include <numeric>

#include "data/dataset.hpp"
#include "data/idx.hpp"
#include "data/random.hpp"
#include "tests/support.hpp"

namespace train {
namespace {

using Bytes = std::vector<std::uint8_t>;
using testing::Folder;
using testing::sentence;

/// Makes an IDX file of unsigned bytes 0, 1, 2, ...
Bytes idx(const std::vector<std::uint32_t>& shape) {
  Bytes file{0, 0, 8, static_cast<std::uint8_t>(shape.size())};
  std::size_t count = 1;
  for (const std::uint32_t extent : shape) {
    for (int shift = 24; shift >= 0; shift -= 8) file.push_back(static_cast<std::uint8_t>(extent >> shift));
    count *= extent;
  }
  for (std::size_t i = 0; i < count; ++i) file.push_back(static_cast<std::uint8_t>(i));
  return file;
}

void write_plain(const std::filesystem::path& path, const Bytes& bytes) {
  std::ofstream(path, std::ios::binary).write(reinterpret_cast<const char*>(bytes.data()), std::ssize(bytes));
}

void write_gz(const std::filesystem::path& path, const Bytes& bytes) {
  gzFile file = gzopen(path.c_str(), "wb");
  ASSERT_EQ(gzwrite(file, bytes.data(), static_cast<unsigned>(bytes.size())), std::ssize(bytes));
  ASSERT_EQ(gzclose(file), Z_OK);
}

void expect_has(const std::string& text, const std::string& part) {
  EXPECT_NE(text.find(part), std::string::npos) << text;
}

TEST(Idx, ReadsGzippedAndPlainFilesAlike) {
  const Folder folder;
  const Bytes bytes = idx({300, 2, 2});  // an extent that needs two bytes
  write_plain(folder / "plain", bytes);
  write_gz(folder / "packed.gz", bytes);
  for (const char* name : {"plain", "packed.gz"}) {
    const IdxArray array = read_idx(folder / name);
    EXPECT_EQ(array.shape, (std::vector<std::uint32_t>{300, 2, 2})) << name;
    EXPECT_EQ(array.values, Bytes(bytes.begin() + 16, bytes.end())) << name;
  }
}

TEST(Idx, EveryFileThatIsTooShortIsRefused) {
  const Bytes whole = idx({3, 2});
  EXPECT_EQ(parse_idx(whole, "f").values.size(), 6u);
  for (std::size_t size = 0; size < whole.size(); ++size) {
    EXPECT_THROW(parse_idx(std::span(whole).first(size), "f"), Failure) << size;
  }
}

TEST(Idx, AFileThatIsTooLongIsRefused) {
  Bytes longer = idx({3, 2});
  longer.push_back(0);
  EXPECT_EQ(sentence<Failure>([&] { parse_idx(longer, "f"); }),
            "f should hold 6 values after its header, but holds 7");
}

TEST(Idx, AnInvalidHeaderIsRefused) {
  Bytes floats = idx({3});
  floats[2] = 0x0d;
  expect_has(sentence<Failure>([&] { parse_idx(floats, "f"); }), "IDX type 0x0d");
  Bytes text{'h', 'e', 'l', 'l', 'o'};
  expect_has(sentence<Failure>([&] { parse_idx(text, "f"); }), "f is not an IDX file");
  Bytes scalar{0, 0, 8, 0, 1};
  EXPECT_THROW(parse_idx(scalar, "f"), Failure);
}

TEST(Idx, HugeExtentsAreRefusedBeforeAllocation) {
  Bytes huge{0, 0, 8, 3};
  huge.resize(16, 0xff);
  expect_has(sentence<Failure>([&] { parse_idx(huge, "f"); }), "more than 2 GiB");
}

TEST(Idx, ACutOffGzipFileIsReportedAsCutOff) {
  const Folder folder;
  write_gz(folder / "whole.gz", idx({100, 28, 28}));
  const auto size = std::filesystem::file_size(folder / "whole.gz");
  std::filesystem::resize_file(folder / "whole.gz", size / 2);
  expect_has(sentence<Failure>([&] { read_idx(folder / "whole.gz"); }), "cut off");
}

TEST(Idx, AMissingFileIsNamed) {
  expect_has(sentence<Failure>([] { read_idx("/nowhere/at/all"); }), "/nowhere/at/all cannot be opened");
}

class DatasetFiles : public ::testing::Test {
 protected:
  void SetUp() override {
    write_plain(folder_ / "train-images-idx3-ubyte", idx({5, 2, 3}));
    write_gz(folder_ / "train-labels-idx1-ubyte.gz", idx({5}));
    write_gz(folder_ / "t10k-images-idx3-ubyte.gz", idx({4, 2, 3}));
    write_plain(folder_ / "t10k-labels-idx1-ubyte", idx({4}));
  }
  [[nodiscard]] std::string refusal() const {
    return sentence<Failure>([&] { load_dataset(folder_ / ""); });
  }
  Folder folder_;
};

TEST_F(DatasetFiles, GzippedAndPlainFilesCanBeMixed) {
  const Dataset dataset = load_dataset(folder_ / "");
  EXPECT_EQ(dataset.training.count, 5);
  EXPECT_EQ(dataset.training.size, 6);
  EXPECT_EQ(dataset.test.labels, (Bytes{0, 1, 2, 3}));
}

TEST_F(DatasetFiles, AMissingFileIsNamedWithTheCommandThatInstallsIt) {
  std::filesystem::remove(folder_ / "t10k-labels-idx1-ubyte");
  expect_has(refusal(), "t10k-labels-idx1-ubyte");
  expect_has(refusal(), "apt-get install dataset-fashion-mnist");
}

TEST_F(DatasetFiles, FilesThatDoNotFitEachOtherAreRefused) {
  write_plain(folder_ / "t10k-labels-idx1-ubyte", idx({3}));
  expect_has(refusal(), "4 images");
  write_plain(folder_ / "t10k-labels-idx1-ubyte", idx({4, 1}));
  expect_has(refusal(), "one dimension");
  write_plain(folder_ / "t10k-labels-idx1-ubyte", idx({4}));
  write_gz(folder_ / "t10k-images-idx3-ubyte.gz", idx({4, 3, 3}));
  expect_has(refusal(), "9");
}

TEST_F(DatasetFiles, ALabelOutOfRangeIsRefused) {
  Bytes labels = idx({4});
  labels.back() = 10;
  write_plain(folder_ / "t10k-labels-idx1-ubyte", labels);
  expect_has(refusal(), "the label 10");
}

TEST(Normalisation, GivesMeanZeroAndVarianceOne) {
  const Images images{.pixels = {0, 0, 255, 255}, .labels = {0}, .count = 1, .size = 4};
  const auto [scale, shift] = normalise(images);
  EXPECT_NEAR(scale * 0 + shift, -1.0, 1e-6);
  EXPECT_NEAR(scale * 255 + shift, 1.0, 1e-6);
}

TEST(Normalisation, ScaleIsOneIfAllPixelsAreEqual) {
  const Images images{.pixels = {7, 7}, .labels = {0}, .count = 1, .size = 2};
  EXPECT_EQ(normalise(images).scale, 1.0f);
  EXPECT_EQ(normalise(images).shift, -7.0f);
}

TEST(Random, ShuffleIsAPermutationAndDependsOnTheEpoch) {
  std::vector<int> first(1000);
  std::iota(first.begin(), first.end(), 0);
  std::vector<int> second = first;
  Random epoch0(1, 0);
  Random epoch1(1, 1);
  shuffle(std::span(first), epoch0);
  shuffle(std::span(second), epoch1);
  EXPECT_NE(first, second);
  std::sort(first.begin(), first.end());
  for (int i = 0; i < 1000; ++i) ASSERT_EQ(first[static_cast<std::size_t>(i)], i);
}

TEST(Random, BelowReachesEveryNumberAboutEquallyOften) {
  Random random(1, 0);
  std::vector<int> times(7);
  for (int i = 0; i < 7000; ++i) ++times[random.below(7)];
  // The tolerance is five standard deviations of sqrt(7000 * 1/7 * 6/7) = 29.3.
  for (const int count : times) EXPECT_NEAR(count, 1000, 147);
}

}  // namespace
}  // namespace train
