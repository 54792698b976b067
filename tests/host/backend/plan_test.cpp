// plan_test.cpp - chunks, runs and shares cover every element exactly once, up to sizes that no memory holds.
#include "host/backend/plan.hpp"

#include <gtest/gtest.h>

#include <algorithm>
#include <map>
#include <numeric>
#include <tuple>
#include <utility>

#include "step/lookup.hpp"
#include "support/refusal.hpp"

namespace onepass::test {
namespace {

using step::Chunk;
using step::Extent;

std::vector<Shard> whole_tensors(const std::vector<std::int64_t>& numels) {
  std::vector<Shard> shards;
  for (const std::int64_t numel : numels) shards.push_back(Shard::whole(numel));
  return shards;
}

/// The range of elements that the reductions derive from a piece.
Extent extent_of(const std::vector<std::int64_t>& numels, step::Piece piece) {
  std::vector<step::TensorEntry> entries(numels.size());
  for (std::size_t i = 0; i < numels.size(); ++i) entries[i].numel = numels[i];
  step::Table table{};
  table.tensors = entries.data();
  return step::extent_of(table, piece, step::kReduceChunk);
}

/// Expects chunks or pieces to cover every element of every tensor in order and without gaps, and none to be
/// empty. `size`: the most elements of each.
template <class Part, class ExtentOf>
void expect_cover(const std::vector<Part>& parts, const std::vector<std::int64_t>& numels, std::int64_t size,
                  const ExtentOf& extent_of) {
  std::vector<std::int64_t> covered(numels.size(), 0);
  std::uint32_t last_tensor = 0;
  for (const Part& part : parts) {
    ASSERT_LT(part.tensor, numels.size());
    ASSERT_GE(part.tensor, last_tensor);
    last_tensor = part.tensor;
    const Extent extent = extent_of(part);
    ASSERT_EQ(extent.begin, covered[part.tensor]);
    ASSERT_GT(extent.count, 0);
    ASSERT_LE(extent.count, size);
    covered[part.tensor] += extent.count;
  }
  EXPECT_EQ(covered, numels);
}

void expect_chunks_cover(const std::vector<std::int64_t>& numels, std::int64_t chunk_size) {
  expect_cover(make_chunks(whole_tensors(numels), chunk_size), numels, chunk_size,
               [](const Chunk& chunk) { return chunk.extent(); });
}

void expect_pieces_cover(const std::vector<std::int64_t>& numels) {
  expect_cover(make_pieces(numels), numels, step::kReduceChunk,
               [&](const step::Piece& piece) { return extent_of(numels, piece); });
}

TEST(Plan, ChunksCoverEveryElementOnce) {
  expect_chunks_cover({}, 64);
  expect_chunks_cover({0}, 64);
  expect_chunks_cover({0, 1, 0, 63, 64, 65, 0, 0, 128, 200, 0}, 64);
  expect_chunks_cover({0, 1, 0, 63, 64, 65, 0, 0, 128, 200, 0}, 128);
  expect_pieces_cover({});
  expect_pieces_cover({0, 1, 0, 4095, 4096, 4097, 0, 20000});
}

TEST(Plan, ChunksCoverTensorsWhoseSizeExceedsThirtyTwoBits) {
  constexpr std::int64_t kTwo31 = std::int64_t{1} << 31;
  expect_chunks_cover({kTwo31 - 1, 0, kTwo31, 5, kTwo31 + 3}, 1 << 20);
  expect_chunks_cover({2 * kTwo31 - 1, 2 * kTwo31, 2 * kTwo31 + 1}, 1 << 20);
  expect_chunks_cover({(std::int64_t{1} << 45) + 7}, std::int64_t{1} << 33);  // chunks of kMostOfChunk
  expect_pieces_cover({kTwo31 - 1, 0, kTwo31, 5, kTwo31 + 3});
}

TEST(Plan, LastPieceOfAHugeTensorStartsBeyondThirtyTwoBits) {
  const std::vector<std::int64_t> numels{(std::int64_t{1} << 44) + 3};
  const Extent last = extent_of(numels, {.tensor = 0, .index = 0xffffffffu});
  EXPECT_EQ(last.begin, std::int64_t{0xffffffff} * 4096);
  EXPECT_EQ(last.count, 4096);
}

TEST(Plan, MoreChunksThanThirtyTwoBitsCountAreRefusedBeforeTheyAreMade) {
  const auto make = [](const Shard& shard) { make_chunks(std::vector{Shard::whole(1), shard}, 64); };
  EXPECT_TRUE(refused([&] { make(Shard::whole(std::int64_t{1} << 62)); }, {"chunks of 64", "chunk_size"}));
  EXPECT_TRUE(refused([&] { make(Shard::of(std::int64_t{1} << 40, 0, 8, 16)); }, {"in runs of 8"}));
  EXPECT_TRUE(refused([&] { make_pieces(std::vector{std::int64_t{1} << 62}); }, {"pieces"}));
}

/// Counts the parts of blocks before each element, one by one.
void expect_places(const Shard& shard, std::int64_t chunk_size) {
  SCOPED_TRACE(shard.text());
  std::vector<std::int64_t> logical, scales;
  for (std::int64_t i = 0; i < shard.numel; ++i) {
    const std::int64_t at = shard.first + i / shard.run * shard.pitch + i % shard.run;
    const bool goes_on = i % shard.run != 0 && at % 32 != 0;
    scales.push_back(scales.empty() ? 0 : scales.back() + (goes_on ? 0 : 1));
    logical.push_back(at);
  }
  EXPECT_EQ(shard.scales(), scales.empty() ? 0 : scales.back() + 1);
  std::int64_t covered = 0;
  for (const Chunk& chunk : make_chunks(std::vector{shard}, chunk_size)) {
    ASSERT_EQ(chunk.begin, covered);
    ASSERT_TRUE(chunk.lead() == 0 || chunk.lead() + std::int64_t{chunk.count} <= 32);
    for (std::int64_t i = 0; i < chunk.count; ++i) {
      const auto at = static_cast<std::size_t>(covered + i);
      ASSERT_EQ(chunk.first + i, logical[at]);
      ASSERT_EQ(chunk.scale + (chunk.lead() + i) / 32, scales[at]);
      ASSERT_EQ(shard.scale_of(covered + i), scales[at]);
    }
    covered += chunk.count;
  }
  EXPECT_EQ(covered, shard.numel);
}

TEST(Plan, ChunksOfAShardKnowTheirPlaceInTheLogicalTensor) {
  for (const std::int64_t first : {0, 1, 31, 32, 77}) {
    for (const std::int64_t run : {1, 5, 32, 33, 100, 200}) {
      for (const std::int64_t gap : {0, 1, 27, 64}) {
        for (const std::int64_t runs : {0, 1, 2, 70})
          expect_places(Shard::of(runs * run, first, run, run + gap), 64);
      }
    }
  }
}

/// Expects the elements that two shards have, found one by one, and among them those whose block the two have
/// different parts of.
void expect_common(const Shard& a, const Shard& b) {
  const auto places_of = [](const Shard& shard) {
    std::map<std::int64_t, std::int64_t> places;
    for (std::int64_t i = 0; i < shard.numel; ++i) {
      places[shard.first + i / shard.run * shard.pitch + i % shard.run] = i;
    }
    return places;
  };
  const auto part_of = [](const Shard& shard, std::int64_t i) {
    const std::int64_t begin = shard.begin_of(i / shard.run), block = (begin + i % shard.run) / 32 * 32;
    return std::pair(std::max(begin, block), std::min(begin + shard.run, block + 32));
  };
  const auto of_a = places_of(a), of_b = places_of(b);
  std::vector<std::tuple<std::int64_t, std::int64_t, std::int64_t, bool>> expected, actual;
  for (const auto& [at, i] : of_a) {
    const auto found = of_b.find(at);
    if (found != of_b.end()) {
      expected.emplace_back(at, i, found->second, part_of(a, i) != part_of(b, found->second));
    }
  }
  for (const Common& common : common_of(a, b)) {
    for (std::int64_t i = 0; i < common.count; ++i) {
      const bool divided = i < common.divided_first || i >= common.count - common.divided_last;
      actual.emplace_back(common.first + i, common.from + i, common.to + i, divided);
    }
  }
  EXPECT_EQ(actual, expected) << a.text() << "; " << b.text();
}

TEST(Plan, TwoShardsHaveTheirElementsInCommon) {
  std::vector<Shard> shards;
  for (const std::int64_t first : {0, 3, 32, 50}) {
    shards.push_back(Shard::of(130, first, 0, 0));
    shards.push_back(Shard::of(0, first, 0, 0));
    shards.push_back(Shard::of(36, first, 6, 17));
    shards.push_back(Shard::of(200, first, 50, 60));
    shards.push_back(Shard::of(128, first, 64, 96));
  }
  for (const Shard& a : shards) {
    for (const Shard& b : shards) expect_common(a, b);
  }
}

TEST(Plan, OffsetsCountElementsInSixtyFourBits) {
  const std::vector<std::int64_t> numels{100, 0, (std::int64_t{1} << 33) + 1, 7};
  constexpr std::int64_t kChunk = std::int64_t{1} << 30;
  const std::vector<Chunk> chunks = make_chunks(whole_tensors(numels), kChunk);
  const std::vector<std::int64_t> offsets = element_offsets(chunks);
  ASSERT_EQ(offsets.size(), chunks.size() + 1);
  EXPECT_EQ(offsets.front(), 0);
  for (std::size_t i = 0; i < chunks.size(); ++i) {
    EXPECT_EQ(offsets[i + 1] - offsets[i], std::int64_t{chunks[i].count}) << i;
  }
  EXPECT_EQ(offsets.back(), std::accumulate(numels.begin(), numels.end(), std::int64_t{0}));
  EXPECT_EQ(element_offsets(make_pieces(std::vector<std::int64_t>{100, 0, 8193}),
                            std::vector<std::int64_t>{100, 0, 8193}),
            (std::vector<std::int64_t>{0, 100, 4196, 8292, 8293}));
}

TEST(Plan, ChunksAreSortedByProgramAndElseKeepTheirOrder) {
  const std::vector<std::int64_t> numels{130, 64, 0, 65, 1};
  const std::vector<std::size_t> programs{3, 1, 2, 3, 1};
  std::vector<Chunk> chunks = make_chunks(whole_tensors(numels), 64);
  const std::vector<ProgramRun> runs = sort_by_program(chunks, programs);
  std::vector<std::pair<std::uint32_t, std::int64_t>> order;
  for (const Chunk& chunk : chunks) order.emplace_back(chunk.tensor, chunk.begin);
  EXPECT_EQ(order, (std::vector<std::pair<std::uint32_t, std::int64_t>>{
                       {1, 0}, {4, 0}, {0, 0}, {0, 64}, {0, 128}, {3, 0}, {3, 64}}));
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
  const std::vector<std::int64_t> offsets = element_offsets(make_chunks(whole_tensors(numels), chunk_size));
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
