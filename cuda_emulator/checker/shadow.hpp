// shadow.hpp - for each piece of memory, who wrote it last and who has read it since.
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

/// One access about to happen.
struct Accessor {
  BlockId block = 0;
  std::uint32_t thread = 0;
  const Knowledge* knowledge = nullptr;
  BlockId first_block = 0;  ///< Of the running launch; lower ids belong to earlier ones.
  const LaunchOrder* order = nullptr;
  std::uint32_t site = 0;  ///< Number of the instruction, for reports.
  bool write = false;
  bool strong = false;  ///< Atomic, volatile or relaxed: two strong accesses never race.
};

/// The other side of a race.
struct Conflict {
  bool wrote = false;
  BlockId block = 0;
  std::uint32_t thread = 0;
  std::uint32_t site = 0;
};

/// The last write and the reads since then, for words, or for bytes once a page saw a narrower access:
/// threads may write neighbouring bytes of one word without a race.
class Shadow {
 public:
  void resize(std::uint64_t bytes) { pages_.resize((bytes + kPageBytes - 1) / kPageBytes); }

  /// Records an access to [offset, offset + bytes) and returns a conflicting earlier one, if any.
  std::optional<Conflict> record(std::uint64_t offset, std::uint32_t bytes, const Accessor& accessor);
  void forget() {
    for (auto& page : pages_) page.reset();
  }

 private:
  static constexpr std::uint64_t kPageBytes = 256;
  /// A cell that many blocks read remembers this many of them; older ones are forgotten.
  static constexpr std::size_t kMaxOlderReaders = 256;

  struct Write {
    BlockId block = 0;  // 0: none.
    Clock clock = 0;
    std::uint16_t thread = 0;
    bool strong = false;
    std::uint32_t site = 0;
  };
  /// Readers of one block. A single clock stands for all of them: clocks are aligned at barriers.
  struct Readers {
    BlockId block = 0;  // 0: none.
    Clock clock = 0;
    std::uint32_t warps = 0;  // Bit per warp.
    std::uint32_t lanes = 0;  // Bit per lane, of all those warps together.
    std::uint32_t site : 31 = 0;
    std::uint32_t strong : 1 = 0;
  };
  struct Cell {
    Write write;
    Readers readers;
    std::unique_ptr<std::vector<Readers>> older;  // Readers of other blocks, unordered with these.
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
