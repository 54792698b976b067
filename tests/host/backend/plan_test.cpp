// plan_test.cpp - chunks, runs and shares cover every element exactly once, up to sizes that no memory holds.
#include "host/backend/plan.hpp"

#include <gtest/gtest.h>

#include <numeric>
#include <tuple>
#include <utility>

#include "step/lookup.hpp"
#include "support/refusal.hpp"

namespace onepass::test {
namespace {

using step::Chunk;
using step::Extent;

/// The range of elements that the kernels and CPU loops derive from a chunk.
Extent extent_of(const std::vector<std::int64_t>& numels, std::int64_t chunk_size, Chunk chunk) {
  std::vector<step::TensorEntry> entries(numels.size());
  for (std::size_t i = 0; i < numels.size(); ++i) entries[i].numel = numels[i];
  step::Table table{};
  table.tensors = entries.data();
  table.chunk_size = chunk_size;
  return step::extent(table, chunk);
}

/// Expects the chunks to cover every element of every tensor in order and without gaps, and none to be empty.
void expect_chunks_cover(const std::vector<std::int64_t>& numels, std::int64_t chunk_size) {
  const std::vector<Chunk> chunks = make_chunks(numels, chunk_size);
  std::vector<std::int64_t> covered(numels.size(), 0);
  std::uint32_t last_tensor = 0;
  for (const Chunk chunk : chunks) {
    ASSERT_LT(chunk.tensor, numels.size());
    ASSERT_GE(chunk.tensor, last_tensor);
    last_tensor = chunk.tensor;
    const Extent extent = extent_of(numels, chunk_size, chunk);
    ASSERT_EQ(extent.begin, covered[chunk.tensor]);
    ASSERT_GT(extent.count, 0);
    ASSERT_LE(extent.count, chunk_size);
    covered[chunk.tensor] += extent.count;
  }
  EXPECT_EQ(covered, numels);
}

TEST(Plan, ChunksCoverEveryElementOnce) {
  expect_chunks_cover({}, 64);
  expect_chunks_cover({0}, 64);
  expect_chunks_cover({0, 1, 0, 63, 64, 65, 0, 0, 128, 200, 0}, 64);
  expect_chunks_cover({0, 1, 0, 63, 64, 65, 0, 0, 128, 200, 0}, 128);
}

TEST(Plan, ChunksCoverTensorsWhoseSizeExceedsThirtyTwoBits) {
  constexpr std::int64_t kTwo31 = std::int64_t{1} << 31;
  expect_chunks_cover({kTwo31 - 1, 0, kTwo31, 5, kTwo31 + 3}, 1 << 20);
  expect_chunks_cover({2 * kTwo31 - 1, 2 * kTwo31, 2 * kTwo31 + 1}, 1 << 20);
  expect_chunks_cover({(std::int64_t{1} << 45) + 7}, std::int64_t{1} << 33);
}

TEST(Plan, LastChunkOfAHugeTensorStartsBeyondThirtyTwoBits) {
  const std::vector<std::int64_t> numels{(std::int64_t{1} << 38) + 3};
  const Extent last = extent_of(numels, 64, {.tensor = 0, .index = 0xffffffffu});
  EXPECT_EQ(last.begin, std::int64_t{0xffffffff} * 64);
  EXPECT_EQ(last.count, 64);
}

TEST(Plan, MoreChunksThanThirtyTwoBitsCountAreRefusedBeforeTheyAreMade) {
  const std::vector<std::int64_t> numels{1, std::int64_t{1} << 62};
  EXPECT_TRUE(refused([&] { make_chunks(numels, 64); }, {"chunk"}));
}

TEST(Plan, OffsetsCountElementsInSixtyFourBits) {
  const std::vector<std::int64_t> numels{100, 0, (std::int64_t{1} << 33) + 1, 7};
  constexpr std::int64_t kChunk = std::int64_t{1} << 30;
  const std::vector<Chunk> chunks = make_chunks(numels, kChunk);
  const std::vector<std::int64_t> offsets = element_offsets(chunks, numels, kChunk);
  ASSERT_EQ(offsets.size(), chunks.size() + 1);
  EXPECT_EQ(offsets.front(), 0);
  for (std::size_t i = 0; i < chunks.size(); ++i) {
    EXPECT_EQ(offsets[i + 1] - offsets[i], extent_of(numels, kChunk, chunks[i]).count) << i;
  }
  EXPECT_EQ(offsets.back(), std::accumulate(numels.begin(), numels.end(), std::int64_t{0}));
}

TEST(Plan, ChunksAreSortedByProgramAndElseKeepTheirOrder) {
  const std::vector<std::int64_t> numels{130, 64, 0, 65, 1};
  const std::vector<std::size_t> programs{3, 1, 2, 3, 1};
  std::vector<Chunk> chunks = make_chunks(numels, 64);
  const std::vector<ProgramRun> runs = sort_by_program(chunks, programs);
  std::vector<std::pair<std::uint32_t, std::uint32_t>> order;
  for (const Chunk chunk : chunks) order.emplace_back(chunk.tensor, chunk.index);
  EXPECT_EQ(order, (std::vector<std::pair<std::uint32_t, std::uint32_t>>{
                       {1, 0}, {4, 0}, {0, 0}, {0, 1}, {0, 2}, {3, 0}, {3, 1}}));
  ASSERT_EQ(runs.size(), 2);  // the empty tensor makes no run
  EXPECT_EQ(std::tuple(runs[0].program, runs[0].first, runs[0].count), std::tuple(1, 0, 2));
  EXPECT_EQ(std::tuple(runs[1].program, runs[1].first, runs[1].count), std::tuple(3, 2, 5));
}

TEST(Plan, NoChunksMakeNoRuns) {
  std::vector<Chunk> chunks;
  EXPECT_TRUE(sort_by_program(chunks, std::vector<std::size_t>{0, 1}).empty());
}

void expect_shares_cover(const std::vector<std::int64_t>& numels, std::int64_t chunk_size, int count) {
  SCOPED_TRACE(std::to_string(count) + " shares");
  const std::vector<std::int64_t> offsets =
      element_offsets(make_chunks(numels, chunk_size), numels, chunk_size);
  const double fair = static_cast<double>(offsets.back()) / count;
  const std::vector<std::int64_t> firsts = cut_into_shares(offsets, count);
  ASSERT_EQ(std::ssize(firsts), count + 1);
  EXPECT_EQ(firsts.front(), 0);
  EXPECT_EQ(firsts.back(), std::ssize(offsets) - 1);
  for (std::size_t share = 0; share + 1 < firsts.size(); ++share) {
    ASSERT_LE(firsts[share], firsts[share + 1]);
    const auto elements = static_cast<double>(offsets[static_cast<std::size_t>(firsts[share + 1])] -
                                              offsets[static_cast<std::size_t>(firsts[share])]);
    EXPECT_NEAR(elements, fair, static_cast<double>(chunk_size)) << "share " << share;
  }
}

TEST(Plan, SharesCoverEveryChunkOnceAndEvenly) {
  for (const int count : {1, 2, 3, 7, 64, 1024}) {
    expect_shares_cover({}, 64, count);
    expect_shares_cover({0, 1, 63, 64, 65, 0, 1000, 3}, 64, count);
    expect_shares_cover({(std::int64_t{1} << 33) + 1, 5, std::int64_t{1} << 34, 0}, 1 << 22, count);
  }
}

}  // namespace
}  // namespace onepass::test
