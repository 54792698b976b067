// plan.hpp - a model cut into pieces of work.
#pragma once

#include <cstdint>
#include <span>
#include <vector>

#include "step/table.hpp"

namespace onepass {

/// Chunks of every tensor, tensor by tensor; an empty tensor has none. `chunk_size` > 0.
/// Throws InvalidArgument if a tensor has more chunks than 32 bits can number.
std::vector<step::Chunk> make_chunks(std::span<const std::int64_t> numels, std::int64_t chunk_size);

/// A run of chunks of one format.
struct FormatRun {
  std::uint8_t format;
  std::int64_t first;
  std::int64_t count;
};

/// Brings the chunks into the order of their tensors' formats, and says where each begins.
std::vector<FormatRun> sort_by_format(std::vector<step::Chunk>& chunks,
                                      std::span<const std::uint8_t> format_of_tensor);

/// Elements before each chunk, and in the end the elements of all: one more entry than there are chunks.
std::vector<std::int64_t> element_offsets(std::span<const step::Chunk> chunks,
                                          std::span<const std::int64_t> numels, std::int64_t chunk_size);

/// A run of chunks [first, last).
struct ChunkRange {
  std::int64_t first;
  std::int64_t last;
};

/// Consecutive chunks, cut into `count` shares with as nearly equal elements as whole chunks allow: the first
/// chunk of each, and in the end the number of chunks.
std::vector<std::int64_t> cut_into_shares(std::span<const std::int64_t> offsets, int count);

}  // namespace onepass
