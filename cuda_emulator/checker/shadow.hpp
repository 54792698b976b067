// shadow.hpp - remembers the last write to each memory cell and the reads since then.
#pragma once

#include <cstdint>
#include <memory>
#include <optional>
#include <vector>

#include "checker/clock.hpp"

namespace cuda_emulator {

/// Tells whether a block of an earlier launch, or an earlier copy, is ordered before the current one by
/// streams, events or the host.
class LaunchOrder {
 public:
  virtual ~LaunchOrder() = default;
  virtual bool precedes(BlockId earlier) const = 0;
};

/// An access that is about to happen.
struct Accessor {
  BlockId block = 0;
  std::uint32_t thread = 0;
  const Knowledge* knowledge = nullptr;
  BlockId first_block = 0;  ///< First block of this launch; lower ids belong to earlier launches.
  const LaunchOrder* order = nullptr;
  std::uint32_t site = 0;  ///< Number of the instruction, for reports.
  bool write = false;
  bool strong = false;  ///< Atomic, volatile or relaxed. Two strong accesses never race.
};

/// The earlier access of a race.
struct Conflict {
  bool wrote = false;
  BlockId block = 0;
  std::uint32_t thread = 0;
  std::uint32_t site = 0;
};

/// The last write and the reads since then, for each 4-byte word. Once a page sees a narrower access, it
/// remembers them for each byte, because threads may write neighbouring bytes of one word without a race.
class Shadow {
 public:
  void resize(std::uint64_t bytes) { pages_.resize((bytes + kPageBytes - 1) / kPageBytes); }

  /// Records an access to [offset, offset + bytes) and returns an earlier access that races with it, if any.
  std::optional<Conflict> record(std::uint64_t offset, std::uint32_t bytes, const Accessor& accessor);
  void forget() {
    for (auto& page : pages_) page.reset();
  }

 private:
  static constexpr std::uint64_t kPageBytes = 256;
  /// Number of other blocks whose reads a cell remembers; further ones are forgotten.
  static constexpr std::size_t kMaxOlderReaders = 256;

  struct Write {
    BlockId block = 0;  // 0 means no write.
    Clock clock = 0;
    std::uint16_t thread = 0;
    bool strong = false;
    std::uint32_t site = 0;
  };
  /// Readers of one block. One clock stands for all of them, because barriers align the clocks.
  struct Readers {
    BlockId block = 0;  // 0 means no reader.
    Clock clock = 0;
    std::uint32_t warps = 0;  // One bit per warp.
    std::uint32_t lanes = 0;  // One bit per lane, for all these warps together.
    std::uint32_t site : 31 = 0;
    std::uint32_t strong : 1 = 0;
  };
  struct Cell {
    Write write;
    Readers readers;
    std::unique_ptr<std::vector<Readers>> older;  // Readers of other blocks, unordered with `readers`.
  };
  struct Page {
    bool fine = false;
    std::vector<Cell> cells;
  };

  Page& page_at(std::uint64_t offset, bool fine);
  static void refine(Page& page);
  static std::optional<Conflict> check(const Cell& cell, const Accessor& accessor);
  static void remember(Cell& cell, const Accessor& accessor);
  static void remember_read(Cell& cell, const Accessor& accessor);
  static bool ordered(const Readers& readers, const Accessor& accessor);
  static Conflict conflict_of(const Readers& readers, const Accessor& accessor);

  std::vector<std::unique_ptr<Page>> pages_;
};

}  // namespace cuda_emulator
