#include "host/backend/shard.hpp"

#include <algorithm>

#include "onepass/storage/dither.hpp"

namespace onepass {

using storage::kBlock;

std::int64_t blocks_of(std::int64_t first, std::int64_t count) {
  return count == 0 ? 0 : (first % kBlock + count - 1) / kBlock + 1;
}

Shard Shard::of(std::int64_t numel, std::int64_t first, std::int64_t run, std::int64_t pitch) {
  if (run == 0 || run == pitch || run >= numel) return {numel, first, numel, numel};
  return {numel, first, run, pitch};
}

std::int64_t Shard::blocks_before(std::int64_t range) const {
  // The place in a block at which a range begins is the same again after kBlock ranges.
  const auto blocks_of_first = [&](std::int64_t ranges) {
    std::int64_t blocks = 0;
    for (std::int64_t r = 0; r < ranges; ++r) blocks += blocks_of(begin_of(r), run);
    return blocks;
  };
  const std::int64_t periods = range / kBlock;
  return (periods == 0 ? 0 : periods * blocks_of_first(kBlock)) + blocks_of_first(range % kBlock);
}

std::int64_t Shard::scale_of(std::int64_t element) const {
  const std::int64_t range = element / run;
  return blocks_before(range) + (begin_of(range) % kBlock + element % run) / kBlock;
}

namespace {

/// The elements [begin, end) of a logical tensor.
struct Range {
  std::int64_t begin, end;
};

Range range_of(const Shard& shard, std::int64_t range) {
  return {shard.begin_of(range), shard.begin_of(range) + shard.run};
}

/// Finds the elements at the ends of [begin, end), which both ranges have, whose blocks they divide
/// differently.
void find_divided(Common& common, const Range& a, const Range& b) {
  const std::int64_t begin = common.first, end = begin + common.count;
  const std::int64_t first_block = begin - begin % kBlock, last_block = (end - 1) - (end - 1) % kBlock;
  const bool begins_alike = std::max(a.begin, first_block) == std::max(b.begin, first_block);
  const bool ends_alike = std::min(a.end, last_block + kBlock) == std::min(b.end, last_block + kBlock);
  const std::int64_t alike_from = begins_alike ? begin : std::min(end, first_block + kBlock);
  const std::int64_t alike_to = std::max(alike_from, ends_alike ? end : last_block);
  common.divided_first = alike_from - begin;
  common.divided_last = end - alike_to;
}

}  // namespace

std::vector<Common> common_of(const Shard& from, const Shard& to) {
  std::vector<Common> all;
  for (std::int64_t i = 0, j = 0; i < from.ranges() && j < to.ranges();) {
    const Range a = range_of(from, i), b = range_of(to, j);
    const std::int64_t begin = std::max(a.begin, b.begin), end = std::min(a.end, b.end);
    if (begin < end) {
      Common common{begin, i * from.run + begin - a.begin, j * to.run + begin - b.begin, end - begin};
      find_divided(common, a, b);
      all.push_back(common);
    }
    a.end < b.end ? ++i : ++j;
  }
  return all;
}

std::string Shard::text() const {
  const std::string ends = "the elements from " + std::to_string(first) + " to " + std::to_string(last());
  if (ranges() < 2) return ends;
  return ends + " in runs of " + std::to_string(run) + " that begin " + std::to_string(pitch) + " apart";
}

}  // namespace onepass
