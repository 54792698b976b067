#include "host/backend/plan.hpp"

#include <algorithm>
#include <limits>
#include <string>

#include "host/check/sentence.hpp"
#include "onepass/error.hpp"

namespace onepass {

std::vector<step::Chunk> make_chunks(std::span<const std::int64_t> numels, std::int64_t chunk_size) {
  std::vector<step::Chunk> chunks;
  for (std::size_t tensor = 0; tensor < numels.size(); ++tensor) {
    const std::int64_t count = numels[tensor] / chunk_size + (numels[tensor] % chunk_size != 0 ? 1 : 0);
    if (count > std::numeric_limits<std::uint32_t>::max()) {
      throw InvalidArgument("onepass: a tensor of " + elements(numels[tensor]) + " has too many chunks of " +
                            elements(chunk_size) + "; choose a larger Options::chunk_size");
    }
    for (std::int64_t index = 0; index < count; ++index) {
      chunks.push_back({static_cast<std::uint32_t>(tensor), static_cast<std::uint32_t>(index)});
    }
  }
  return chunks;
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

std::vector<std::int64_t> element_offsets(std::span<const step::Chunk> chunks,
                                          std::span<const std::int64_t> numels, std::int64_t chunk_size) {
  std::vector<std::int64_t> offsets{0};
  offsets.reserve(chunks.size() + 1);
  for (const step::Chunk& chunk : chunks) {
    const std::int64_t left = numels[chunk.tensor] - chunk.index * chunk_size;
    offsets.push_back(offsets.back() + std::min(left, chunk_size));
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
