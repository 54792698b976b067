#include "host/backend/plan.hpp"

#include <algorithm>
#include <limits>
#include <string>

#include "host/check/sentence.hpp"
#include "onepass/error.hpp"

namespace onepass {

namespace {

constexpr std::int64_t kMostOfTensor = std::numeric_limits<std::uint32_t>::max();

std::int64_t parts_of(std::int64_t numel, std::int64_t size) {
  return numel / size + (numel % size != 0 ? 1 : 0);
}

/// Cuts one range of a tensor into chunks. `first`: the chunk that a range of its number of elements would
/// be.
void add_range(std::vector<step::Chunk>& chunks, step::Chunk first, std::int64_t count, std::int64_t size) {
  while (count > 0) {
    const std::int64_t most = first.lead() == 0 ? size : storage::kBlock - first.lead();
    const std::int64_t some = std::min(count, most);
    first.count = static_cast<std::uint32_t>(some);
    chunks.push_back(first);
    first.begin += some, first.first += some, first.scale += first.blocks();
    count -= some;
  }
}

}  // namespace

std::vector<step::Chunk> make_chunks(std::span<const Shard> shards, std::int64_t chunk_size) {
  const std::int64_t size = std::min(chunk_size, kMostOfChunk);
  std::vector<step::Chunk> chunks;
  for (std::size_t tensor = 0; tensor < shards.size(); ++tensor) {
    const Shard& shard = shards[tensor];
    // A range has one chunk more if it does not begin with a block.
    if (shard.ranges() > 0 && parts_of(shard.run, size) + 1 > kMostOfTensor / shard.ranges()) {
      const std::string runs = shard.ranges() > 1 ? " in runs of " + std::to_string(shard.run) : "";
      throw InvalidArgument("onepass: a tensor of " + elements(shard.numel) + runs +
                            " has too many chunks of " + elements(size) +
                            (shard.ranges() > 1 ? "" : "; choose a larger Options::chunk_size"));
    }
    std::int64_t scale = 0;
    for (std::int64_t range = 0; range < shard.ranges(); ++range) {
      const std::int64_t first = shard.begin_of(range);
      add_range(chunks, {static_cast<std::uint32_t>(tensor), 0, range * shard.run, first, scale}, shard.run,
                size);
      scale += blocks_of(first, shard.run);
    }
  }
  return chunks;
}

std::vector<step::Piece> make_pieces(std::span<const std::int64_t> numels) {
  std::vector<step::Piece> pieces;
  for (std::size_t tensor = 0; tensor < numels.size(); ++tensor) {
    const std::int64_t count = parts_of(numels[tensor], step::kReduceChunk);
    if (count > kMostOfTensor) {
      throw InvalidArgument("onepass: a tensor of " + elements(numels[tensor]) + " has too many pieces of " +
                            elements(step::kReduceChunk));
    }
    for (std::int64_t index = 0; index < count; ++index) {
      pieces.push_back({static_cast<std::uint32_t>(tensor), static_cast<std::uint32_t>(index)});
    }
  }
  return pieces;
}

std::vector<ProgramRun> sort_by_program(std::vector<step::Chunk>& chunks,
                                        std::span<const std::size_t> program_of_tensor) {
  const auto program = [&](const step::Chunk& chunk) { return program_of_tensor[chunk.tensor]; };
  std::ranges::stable_sort(chunks, {}, program);
  std::vector<ProgramRun> runs;
  for (const step::Chunk& chunk : chunks) {
    if (runs.empty() || runs.back().program != program(chunk)) {
      runs.push_back({program(chunk), runs.empty() ? 0 : runs.back().first + runs.back().count, 0});
    }
    ++runs.back().count;
  }
  return runs;
}

std::vector<std::int64_t> element_offsets(std::span<const step::Chunk> chunks) {
  std::vector<std::int64_t> offsets{0};
  offsets.reserve(chunks.size() + 1);
  for (const step::Chunk& chunk : chunks) offsets.push_back(offsets.back() + chunk.count);
  return offsets;
}

std::vector<std::int64_t> element_offsets(std::span<const step::Piece> pieces,
                                          std::span<const std::int64_t> numels) {
  std::vector<std::int64_t> offsets{0};
  offsets.reserve(pieces.size() + 1);
  for (const step::Piece& piece : pieces) {
    const std::int64_t left = numels[piece.tensor] - piece.index * step::kReduceChunk;
    offsets.push_back(offsets.back() + std::min(left, step::kReduceChunk));
  }
  return offsets;
}

std::vector<std::int64_t> cut_into_shares(std::span<const std::int64_t> offsets, int count) {
  const std::int64_t total = offsets.back(), chunks = std::ssize(offsets) - 1;
  std::vector<std::int64_t> firsts;
  firsts.reserve(static_cast<std::size_t>(count) + 1);
  for (std::int64_t share = 0, chunk = 0; share < count; ++share) {
    // total * share / count, computed so that no product overflows: up to 2^63 elements times 2^20 shares.
    const std::int64_t before = total / count * share + total % count * share / count;
    while (chunk < chunks && offsets[static_cast<std::size_t>(chunk)] < before) ++chunk;
    firsts.push_back(chunk);
  }
  firsts.push_back(chunks);
  return firsts;
}

}  // namespace onepass
