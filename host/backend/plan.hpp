// plan.hpp - cuts a model into chunks, runs and shares.
#pragma once

#include <cstdint>
#include <span>
#include <vector>

#include "host/backend/shard.hpp"
#include "step/table.hpp"

namespace onepass {

/// Makes the chunks of every tensor, tensor by tensor. An empty tensor has no chunks. `chunk_size`: the most
/// elements of a chunk, a multiple of storage::kBlock; a chunk has at most kMostOfChunk. Throws
/// InvalidArgument if a tensor has more chunks than 32 bits can number.
std::vector<step::Chunk> make_chunks(std::span<const Shard> shards, std::int64_t chunk_size);

/// Makes the pieces of every tensor. Throws InvalidArgument if a tensor has more than 32 bits can number.
std::vector<step::Piece> make_pieces(std::span<const std::int64_t> numels);

inline constexpr std::int64_t kMostOfChunk = std::int64_t{1} << 31;

/// A run: `count` consecutive chunks of one program, from chunk `first` on.
struct ProgramRun {
  std::size_t program;
  std::int64_t first;
  std::int64_t count;
};

/// Sorts the chunks by the numbers of their tensors' programs, and returns the run of each program.
std::vector<ProgramRun> sort_by_program(std::vector<step::Chunk>& chunks,
                                        std::span<const std::size_t> program_of_tensor);

/// Number of elements before each chunk, followed by the total: one more entry than there are chunks.
std::vector<std::int64_t> element_offsets(std::span<const step::Chunk> chunks);
/// The same of pieces.
std::vector<std::int64_t> element_offsets(std::span<const step::Piece> pieces,
                                          std::span<const std::int64_t> numels);

/// The chunks [first, last).
struct ChunkRange {
  std::int64_t first;
  std::int64_t last;
};

/// Cuts consecutive chunks into `count` shares. Shares have as nearly equal numbers of elements as whole
/// chunks allow. `offsets`: element_offsets() of the chunks. Returns the first chunk of each share, followed
/// by the number of chunks.
std::vector<std::int64_t> cut_into_shares(std::span<const std::int64_t> offsets, int count);

}  // namespace onepass
