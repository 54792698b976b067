#include "host/checkpoint/pieces/check.hpp"

#include <algorithm>
#include <cstdint>
#include <functional>
#include <string>

#include "host/check/sentence.hpp"
#include "host/checkpoint/json.hpp"

namespace onepass::checkpoint {
namespace {

[[noreturn]] void refuse_numbers(const Piece& one, const char* what, std::int64_t is, std::int64_t wanted) {
  refuse_content(onepass::quoted(one.file->path().string()) + " has " + std::to_string(is) + " as the " +
                 what + " of " + onepass::quoted(one.record->name) + ", but it is " + std::to_string(wanted) +
                 " elsewhere");
}

/// Returns one shard for each stretch without gaps that the pieces have together, in rising order. Refuses an
/// element that two of them have. `name`: of the parameter, quoted.
std::vector<Shard> stretches_of(std::span<const Piece> pieces, const std::string& name) {
  std::vector<Shard> ranges, stretches;
  for (const Piece& one : pieces) {
    const Shard shard = one.record->shard();
    for (std::int64_t r = 0; r < shard.ranges(); ++r) {
      ranges.push_back(Shard::of(shard.run, shard.begin_of(r), 0, 0));
    }
  }
  std::ranges::sort(ranges, {}, &Shard::first);
  for (const Shard& range : ranges) {
    const std::int64_t end = stretches.empty() ? -1 : stretches.back().last();
    if (range.first < end) {
      refuse_content("two files have element " + std::to_string(range.first) + " of " + name);
    }
    if (range.first > end) {
      stretches.push_back(range);
    } else {
      stretches.back() = Shard::of(range.last() - stretches.back().first, stretches.back().first, 0, 0);
    }
  }
  return stretches;
}

/// "row_var (3), col_var (4)"
std::string text_of(std::span<const LineRecord> lines) {
  std::string text;
  for (const LineRecord& one : lines) {
    text += (text.empty() ? "" : ", ") + one.name + " (" + std::to_string(one.numel) + ")";
  }
  return text.empty() ? "none" : text;
}

}  // namespace

void keep_elements(std::vector<Piece>& pieces) {
  const auto has_elements = [](const Piece& one) { return one.record->numel > 0; };
  if (std::ranges::any_of(pieces, has_elements)) std::erase_if(pieces, std::not_fn(has_elements));
}

void check_numbers(const Parameter& parameter, std::span<const Piece> pieces) {
  const PieceRecord& first = *pieces.front().record;
  for (const Piece& one : pieces) {
    const PieceRecord& record = *one.record;
    if (record.step != first.step) refuse_numbers(one, "step count", record.step, first.step);
    if (record.accumulated != first.accumulated) {
      refuse_numbers(one, "number of micro-batches", record.accumulated, first.accumulated);
    }
    if (record.scalars != first.scalars) {
      refuse_content(onepass::quoted(one.file->path().string()) + " has other scalars of " +
                     onepass::quoted(record.name) + " than the other files");
    }
    if (record.lines != first.lines) {
      refuse_content(onepass::quoted(one.file->path().string()) +
                     " has other states of rows and columns of " + onepass::quoted(record.name) +
                     " than the other files");
    }
    if (record.group != static_cast<std::int64_t>(parameter.group)) {
      refuse_numbers(one, "group", record.group, static_cast<std::int64_t>(parameter.group));
    }
  }
}

void check_elements(const Parameter& parameter, std::span<const Piece> pieces, bool shards) {
  const Shard wanted = Shard::of(parameter);
  const std::string name = onepass::quoted(parameter.name);
  const std::string here = name + " has " + wanted.text() + " here, but ";
  const std::vector<Shard> stretches = stretches_of(pieces, name);
  auto stretch = stretches.begin();
  for (std::int64_t r = 0; r < wanted.ranges(); ++r) {
    std::int64_t begin = wanted.begin_of(r);
    while (stretch != stretches.end() && stretch->last() <= begin) ++stretch;
    if (stretch != stretches.end() && stretch->first <= begin)
      begin = std::min(stretch->last(), begin + wanted.run);
    if (begin < wanted.begin_of(r) + wanted.run) {
      refuse_content(here + "the file lacks element " + std::to_string(begin));
    }
  }
  std::int64_t count = 0;
  for (const Shard& one : stretches) count += one.numel;
  if (!shards && count != wanted.numel) {
    refuse_content(here + "from " + std::to_string(stretches.front().first) + " to " +
                   std::to_string(stretches.back().last()) +
                   " in the file; LoadCheckpointOptions::shards loads a part");
  }
}

void check_lines(const PieceRecord& record, std::span<const LineRecord> wanted) {
  if (std::ranges::equal(record.lines, wanted)) return;
  refuse_content("it has these states of rows and columns for " + onepass::quoted(record.name) + ": " +
                 text_of(record.lines) + ", but this optimizer has: " + text_of(wanted));
}

}  // namespace onepass::checkpoint
