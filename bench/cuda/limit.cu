// limit.cu - cuts the streams into pieces of 16 KiB and moves each with one thread block.
#include <algorithm>
#include <vector>

#include "bench/cuda/check.hpp"
#include "bench/cuda/limit.hpp"
#include "onepass/storage/quantized8.hpp"

namespace onepass::bench {
namespace {

constexpr int kThreads = 256;
/// Accesses that each thread has in flight at once.
constexpr int kDepth = 4;
/// Most bytes of a piece: one access of 16 bytes for each thread and each of its kDepth accesses in flight.
constexpr std::int64_t kPieceBytes = kThreads * kDepth * sizeof(uint4);

enum class Move : std::uint32_t { read, write, update };

struct Piece {
  std::byte* data;
  std::uint32_t bytes;
  Move move;
};

__device__ __forceinline__ void flip(uint4& word, std::uint32_t bits) {
  word = make_uint4(word.x ^ bits, word.y ^ bits, word.z ^ bits, word.w ^ bits);
}
__device__ __forceinline__ void flip(std::uint8_t& word, std::uint32_t bits) {
  word = static_cast<std::uint8_t>(word ^ bits);
}
__device__ __forceinline__ std::uint32_t bits_of(const uint4& word) {
  return word.x | word.y | word.z | word.w;
}
__device__ __forceinline__ std::uint32_t bits_of(std::uint8_t word) { return word; }

/// Reads, writes or updates `count` words. Returns all bits of the words if they were only read, or-ed.
template <Move kMove, class Word>
__device__ __forceinline__ std::uint32_t move_words(Word* data, std::uint32_t count, std::uint32_t zero) {
  std::uint32_t seen = 0;
  for (std::uint32_t first = threadIdx.x; first < count; first += kThreads * kDepth) {
    Word words[kDepth] = {};
#pragma unroll
    for (int i = 0; i < kDepth; ++i) {
      const std::uint32_t at = first + i * kThreads;
      if (kMove != Move::write && at < count) words[i] = data[at];
    }
#pragma unroll
    for (int i = 0; i < kDepth; ++i) {
      const std::uint32_t at = first + i * kThreads;
      if (kMove == Move::read) {
        seen |= bits_of(words[i]);
      } else if (at < count) {
        flip(words[i], zero);
        data[at] = words[i];
      }
    }
  }
  return seen;
}

template <Move kMove>
__device__ __forceinline__ std::uint32_t move(const Piece& piece, std::uint32_t zero) {
  const bool aligned = reinterpret_cast<std::uintptr_t>(piece.data) % sizeof(uint4) == 0;
  const std::uint32_t words = aligned ? piece.bytes / sizeof(uint4) : 0;
  const std::uint32_t moved = words * sizeof(uint4);
  std::uint32_t seen = move_words<kMove>(reinterpret_cast<uint4*>(piece.data), words, zero);
  seen |= move_words<kMove>(reinterpret_cast<std::uint8_t*>(piece.data) + moved, piece.bytes - moved, zero);
  return seen;
}

__global__ void __launch_bounds__(kThreads)
    move_streams(const Piece* pieces, std::uint32_t zero, std::uint32_t* seen) {
  const Piece piece = pieces[blockIdx.x];
  if (piece.move == Move::update) {
    move<Move::update>(piece, zero);
  } else if (piece.move == Move::write) {
    move<Move::write>(piece, zero);
  } else {
    const std::uint32_t bits = move<Move::read>(piece, zero) & zero;
    if (bits != 0) atomicOr(seen, bits);  // never true for the limit, but keeps the reads
  }
}

struct Stream {
  std::byte* data;
  std::int64_t bytes;
  Move move;
};

std::vector<Stream> streams_of(const TensorStreams& tensor, const ElementBytes& bytes) {
  const auto of = [&](std::byte* data, std::int64_t each, Move move) {
    return Stream{data, each * tensor.numel, move};
  };
  std::vector<Stream> all{of(tensor.grad, bytes.grad, Move::read),
                          of(tensor.param, bytes.param, bytes.reads_param ? Move::update : Move::write)};
  if (tensor.remainder != nullptr) all.push_back(of(tensor.remainder, bytes.remainder, Move::update));
  for (int s = 0; s < TensorStreams::kMaxStates; ++s) {
    if (tensor.states[s] != nullptr) all.push_back(of(tensor.states[s], bytes.state, Move::update));
    constexpr std::int64_t kScale = sizeof(storage::Quantized8::Scale::Element);
    const std::int64_t blocks = (tensor.numel + storage::kBlock - 1) / storage::kBlock;
    if (tensor.scales[s] != nullptr) all.push_back({tensor.scales[s], blocks * kScale, Move::update});
  }
  return all;
}

/// Appends the pieces of all streams of a tensor, in the order of the elements that they hold.
void add_pieces(const TensorStreams& tensor, const ElementBytes& bytes, std::vector<Piece>& pieces) {
  struct Placed {
    double place;  ///< Share of the stream that lies before the piece.
    Piece piece;
  };
  std::vector<Placed> placed;
  for (const Stream& stream : streams_of(tensor, bytes)) {
    for (std::int64_t begin = 0; begin < stream.bytes; begin += kPieceBytes) {
      const std::int64_t size = std::min(kPieceBytes, stream.bytes - begin);
      placed.push_back({static_cast<double>(begin) / static_cast<double>(stream.bytes),
                        {stream.data + begin, static_cast<std::uint32_t>(size), stream.move}});
    }
  }
  std::ranges::stable_sort(placed, {}, &Placed::place);
  for (const Placed& one : placed) pieces.push_back(one.piece);
}

}  // namespace

CudaLimit::CudaLimit(Device device, const ElementBytes& bytes, std::span<const TensorStreams> streams)
    : device_(device), seen_(device, sizeof(std::uint32_t)) {
  std::vector<Piece> pieces;
  for (const TensorStreams& tensor : streams) add_pieces(tensor, bytes, pieces);
  for (const Piece& piece : pieces) traffic_ += piece.bytes * (piece.move == Move::update ? 2.0 : 1.0);
  count_ = static_cast<unsigned>(pieces.size());
  pieces_ = DeviceBuffer(device, pieces.size() * sizeof(Piece));
  copy({device, pieces_.data()}, {Device::cpu(), pieces.data()}, pieces_.bytes());
  fill_zero({device, seen_.data()}, seen_.bytes());
}

void CudaLimit::run(std::uint32_t zero) const {
  if (count_ == 0) return;
  move_streams<<<count_, kThreads>>>(pieces_.as<const Piece>(), zero, seen_.as<std::uint32_t>());
  check(cudaGetLastError(), "the launch of the limit");
}

std::uint32_t CudaLimit::seen() const {
  std::uint32_t bits = 0;
  copy({Device::cpu(), &bits}, {device_, seen_.data()}, sizeof bits);
  return bits;
}

}  // namespace onepass::bench
