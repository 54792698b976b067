// shadow.cpp - remembers the last write to each memory cell and the reads since then.
#include "checker/shadow.hpp"

#include <algorithm>
#include <bit>

namespace cuda_emulator {
namespace {

std::uint32_t bit(std::uint32_t index) { return 1u << index; }

/// Returns whether the access of (block, thread) at `clock` happened before the accessor's.
bool ordered_thread(BlockId block, std::uint32_t thread, Clock clock, const Accessor& accessor) {
  const Knowledge& knowledge = *accessor.knowledge;
  if (block == accessor.block) {
    if (thread == accessor.thread || clock <= knowledge.block) return true;
    const bool same_warp = thread / kWarpSize == accessor.thread / kWarpSize;
    if (same_warp && clock <= knowledge.lanes[thread % kWarpSize]) return true;
  } else if (block < accessor.first_block) {
    return accessor.order == nullptr || accessor.order->precedes(block);
  }
  return knowledge.others != nullptr && knowledge.others->knows(block, thread, clock);
}

}  // namespace

bool Shadow::ordered(const Readers& readers, const Accessor& accessor) {
  if (readers.block == accessor.block) {
    if (readers.clock <= accessor.knowledge->block) return true;
  } else if (readers.block < accessor.first_block) {
    return ordered_thread(readers.block, 0, readers.clock, accessor);
  }
  for (std::uint32_t warps = readers.warps; warps != 0; warps &= warps - 1) {
    const std::uint32_t first = static_cast<std::uint32_t>(std::countr_zero(warps)) * kWarpSize;
    for (std::uint32_t lanes = readers.lanes; lanes != 0; lanes &= lanes - 1) {
      const std::uint32_t thread = first + static_cast<std::uint32_t>(std::countr_zero(lanes));
      if (!ordered_thread(readers.block, thread, readers.clock, accessor)) return false;
    }
  }
  return true;
}

Conflict Shadow::conflict_of(const Readers& readers, const Accessor& accessor) {
  // Reports any reader that is not ordered before the accessor.
  for (std::uint32_t warps = readers.warps; warps != 0; warps &= warps - 1) {
    const std::uint32_t first = static_cast<std::uint32_t>(std::countr_zero(warps)) * kWarpSize;
    for (std::uint32_t lanes = readers.lanes; lanes != 0; lanes &= lanes - 1) {
      const std::uint32_t thread = first + static_cast<std::uint32_t>(std::countr_zero(lanes));
      if (!ordered_thread(readers.block, thread, readers.clock, accessor)) {
        return {false, readers.block, thread, readers.site};
      }
    }
  }
  return {false, readers.block, 0, readers.site};
}

std::optional<Conflict> Shadow::check(const Cell& cell, const Accessor& accessor) {
  const Write& write = cell.write;
  if (write.block != 0 && !(write.strong && accessor.strong) &&
      !ordered_thread(write.block, write.thread, write.clock, accessor)) {
    return Conflict{true, write.block, write.thread, write.site};
  }
  if (!accessor.write) return std::nullopt;
  const auto races = [&](const Readers& readers) {
    return readers.block != 0 && !(readers.strong && accessor.strong) && !ordered(readers, accessor);
  };
  if (races(cell.readers)) return conflict_of(cell.readers, accessor);
  if (cell.older == nullptr) return std::nullopt;
  const auto found = std::find_if(cell.older->begin(), cell.older->end(), races);
  if (found == cell.older->end()) return std::nullopt;
  return conflict_of(*found, accessor);
}

void Shadow::remember_read(Cell& cell, const Accessor& accessor) {
  const std::uint32_t warp = bit(accessor.thread / kWarpSize);
  const std::uint32_t lane = bit(accessor.thread % kWarpSize);
  const Knowledge& knowledge = *accessor.knowledge;
  const Readers mine{accessor.block, knowledge.own, warp, lane, accessor.site, accessor.strong};
  Readers& readers = cell.readers;
  // A write that is ordered after this read is also ordered after the reads that precede this one.
  if (readers.block == 0 || ordered(readers, accessor)) {
    readers = mine;
    return;
  }
  if (readers.block == accessor.block) {
    readers.clock = std::max(readers.clock, knowledge.own);
    readers.warps |= warp;
    readers.lanes |= lane;
    readers.strong &= accessor.strong;
    return;
  }
  if (cell.older == nullptr) cell.older = std::make_unique<std::vector<Readers>>();
  if (cell.older->size() < kMaxOlderReaders) cell.older->push_back(readers);
  readers = mine;
}

void Shadow::remember(Cell& cell, const Accessor& accessor) {
  if (!accessor.write) {
    remember_read(cell, accessor);
    return;
  }
  cell.write = {accessor.block, accessor.knowledge->own, static_cast<std::uint16_t>(accessor.thread),
                accessor.strong, accessor.site};
  cell.readers = {};
  cell.older.reset();
}

void Shadow::refine(Page& page) {
  std::vector<Cell> bytes(kPageBytes);
  for (std::size_t i = 0; i < kPageBytes; ++i) {
    const Cell& word = page.cells[i / 4];
    bytes[i].write = word.write;
    bytes[i].readers = word.readers;
    if (word.older != nullptr) bytes[i].older = std::make_unique<std::vector<Readers>>(*word.older);
  }
  page.cells = std::move(bytes);
  page.fine = true;
}

Shadow::Page& Shadow::page_at(std::uint64_t offset, bool fine) {
  std::unique_ptr<Page>& page = pages_[offset / kPageBytes];
  if (page == nullptr) {
    page = std::make_unique<Page>();
    page->cells.resize(kPageBytes / 4);
  }
  if (fine && !page->fine) refine(*page);
  return *page;
}

std::optional<Conflict> Shadow::record(std::uint64_t offset, std::uint32_t bytes, const Accessor& accessor) {
  std::optional<Conflict> conflict;
  const std::uint64_t end = offset + bytes;
  while (offset < end) {
    Page& page = page_at(offset, offset % 4 != 0 || end - offset < 4);
    const std::uint64_t step = page.fine ? 1 : 4;
    Cell& cell = page.cells[offset % kPageBytes / step];
    if (!conflict) conflict = check(cell, accessor);
    remember(cell, accessor);
    offset += step;
  }
  return conflict;
}

}  // namespace cuda_emulator
