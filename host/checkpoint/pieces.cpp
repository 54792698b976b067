#include "host/checkpoint/pieces.hpp"

#include <algorithm>
#include <cstdint>
#include <utility>

#include "host/check/sentence.hpp"
#include "host/checkpoint/convert.hpp"
#include "host/checkpoint/json.hpp"
#include "host/checkpoint/layout.hpp"
#include "step/table.hpp"

namespace onepass::checkpoint {
namespace {

using Bytes = std::vector<std::byte>;

/// Elements that a piece and a parameter have in common. All begin with a block.
struct Range {
  std::int64_t from;  ///< First element in the piece.
  std::int64_t to;    ///< First element in the parameter.
  std::int64_t count;

  static Range of(const PieceRecord& piece, const Parameter& parameter) {
    const std::int64_t begin = std::max(piece.first, parameter.first);
    const std::int64_t end = std::min(piece.last(), parameter.first + parameter.value.numel);
    return {begin - piece.first, begin - parameter.first, std::max<std::int64_t>(end - begin, 0)};
  }
};

std::size_t bytes_of(std::int64_t elements, std::size_t size) {
  return static_cast<std::size_t>(elements) * size;
}

/// The part of a parameter's stream that a range has.
std::span<std::byte> part(std::span<std::byte> stream, const Range& range, std::size_t size) {
  return stream.subspan(bytes_of(range.to, size), bytes_of(range.count, size));
}

/// Reads the part of a piece's tensor that a range has.
Bytes read(const Piece& piece, const std::string& key, const Range& range, std::size_t size) {
  Bytes bytes(bytes_of(range.count, size));
  piece.file->read(key, range.from, bytes);
  return bytes;
}

std::vector<float> floats(const Range& range) {
  return std::vector<float>(static_cast<std::size_t>(range.count));
}

[[noreturn]] void refuse_numbers(const Piece& one, const char* what, std::int64_t is, std::int64_t wanted) {
  refuse_content(onepass::quoted(one.file->path().string()) + " has " + std::to_string(is) + " as the " +
                 what + " of " + onepass::quoted(one.record->name) + ", but it is " + std::to_string(wanted) +
                 " elsewhere");
}

/// Leaves the pieces that have elements, if there are any, in the order of the elements: the counts of an
/// empty shard say nothing about the others.
void keep_elements(std::vector<Piece>& pieces) {
  const auto has_elements = [](const Piece& one) { return one.record->numel > 0; };
  if (std::ranges::any_of(pieces, has_elements)) std::erase_if(pieces, std::not_fn(has_elements));
  std::ranges::stable_sort(pieces, {}, [](const Piece& one) { return one.record->first; });
}

/// Checks that pieces in the order of their elements agree, and have each element of the parameter once.
void check_pieces(const Parameter& parameter, std::span<const Piece> pieces, bool shards) {
  const PieceRecord& first = *pieces.front().record;
  const std::string name = onepass::quoted(parameter.name);
  for (const Piece& one : pieces) {
    const PieceRecord& record = *one.record;
    if (record.step != first.step) refuse_numbers(one, "step count", record.step, first.step);
    if (record.accumulated != first.accumulated) {
      refuse_numbers(one, "number of micro-batches", record.accumulated, first.accumulated);
    }
    if (record.group != static_cast<std::int64_t>(parameter.group)) {
      refuse_numbers(one, "group", record.group, static_cast<std::int64_t>(parameter.group));
    }
  }
  std::int64_t covered = parameter.first, begin = first.first, end = first.first;
  for (std::size_t i = 0; i < pieces.size(); ++i) {
    const PieceRecord& record = *pieces[i].record;
    if (i > 0 && record.first < end) {
      refuse_content("two files have element " + std::to_string(record.first) + " of " + name);
    }
    end = record.last();
    if (record.first <= covered) covered = std::max(covered, end);
  }
  const std::int64_t last = parameter.first + parameter.value.numel;
  if (covered < last) {
    refuse_content(name + " has the elements from " + std::to_string(parameter.first) + " to " +
                   std::to_string(last) + " here, but the file lacks element " + std::to_string(covered));
  }
  if (!shards && (begin != parameter.first || end != last)) {
    refuse_content(name + " has the elements from " + std::to_string(parameter.first) + " to " +
                   std::to_string(last) + " here, but from " + std::to_string(begin) + " to " +
                   std::to_string(end) + " in the file; LoadCheckpointOptions::shards loads a part");
  }
}

std::vector<std::string> names_of(std::span<const StateRecord> states) {
  std::vector<std::string> names;
  for (const StateRecord& state : states) names.push_back(state.name);
  return names;
}

/// Puts one parameter together, range by range.
class Assembly {
 public:
  Assembly(const Target& target, Wanted wanted) : target_(target), wanted_(wanted) {
    const std::int64_t numel = target.parameter.value.numel;
    loaded_.saved.name = target.parameter.name;
    for (const StreamSpec& spec : target.specs) {
      loaded_.saved.states.push_back({spec.name, spec.dtype, Bytes(spec.bytes(numel))});
    }
    if (wanted.values) loaded_.value.resize(target.parameter.value.bytes());
  }

  void set_counts(const PieceRecord& record) {
    loaded_.saved.step = record.step;
    loaded_.saved.accumulated = record.accumulated;
    if (record.accumulated != 0) {
      loaded_.saved.gradient_sum.resize(bytes_of(target_.parameter.value.numel, sizeof(float)));
    }
  }

  void add(const Piece& piece) {
    check_streams(*piece.record);
    const Range range = Range::of(*piece.record, target_.parameter);
    if (range.count == 0) return;
    add_states(piece, range);
    add_value(piece, range);
    if (piece.record->ema) add_ema(piece, range);
    if (piece.record->accumulated != 0) {
      piece.file->read(key_of(piece.record->name, kGradientSum), range.from,
                       part(loaded_.saved.gradient_sum, range, sizeof(float)));
    }
  }

  [[nodiscard]] Loaded take() { return std::move(loaded_); }

 private:
  [[nodiscard]] std::size_t state_count() const { return target_.variant.states.size(); }
  [[nodiscard]] bool is_nonnegative(std::size_t state) const {
    return (target_.variant.nonnegative >> state & 1u) != 0;
  }
  [[nodiscard]] bool has_same_states(const PieceRecord& record) const {
    if (record.format.states != target_.format.states) return false;
    for (std::size_t s = 0; s < state_count(); ++s) {
      if (record.states[s].is_nonnegative != is_nonnegative(s)) return false;
    }
    return true;
  }
  [[nodiscard]] bool has_same_value(const PieceRecord& record) const {
    return record.format.param == target_.format.param && record.format.master == target_.format.master;
  }
  /// Returns the stream of a role that a parameter has once, or null if it has none.
  [[nodiscard]] SavedState* stream(StreamRole role) {
    const auto found = std::ranges::find(target_.specs, role, &StreamSpec::role);
    return found == target_.specs.end()
               ? nullptr
               : &loaded_.saved.states[static_cast<std::size_t>(found - target_.specs.begin())];
  }

  void check_streams(const PieceRecord& record) {
    const std::string name = onepass::quoted(record.name);
    const std::vector<std::string> names = names_of(record.states);
    if (!std::ranges::equal(names, target_.variant.states)) {
      refuse_content("it has the states " + listed(names) + " for " + name + ", but this optimizer's are " +
                     listed(target_.variant.states));
    }
    if (record.ema.has_value() != (stream(StreamRole::ema) != nullptr)) {
      refuse_content(std::string("it has ") + (record.ema ? "a" : "no") + " moving average of " + name +
                     ", but this optimizer keeps " + (record.ema ? "none" : "one"));
    }
    if (has_same_value(record)) return;
    const std::string both = name + " is " + onepass::to_string(record.format) + " in the file, but " +
                             onepass::to_string(target_.format) + " here, and ";
    if (!wanted_.values) refuse_content(both + "only LoadCheckpointOptions::parameters converts it");
    if (!has_codec(record.format)) refuse_content(both + "this program does not have the former");
  }

  /// The stored elements of a target's state in a range.
  [[nodiscard]] StoredState<std::byte> stored(std::size_t state, const Range& range) {
    const std::span<std::byte> bytes(loaded_.saved.states[state].bytes);
    StoredState<std::byte> to{target_.format.states,
                              is_nonnegative(state),
                              part(bytes, range, state_size(target_.format.states)),
                              {}};
    if (to.format == States::quantized8) {
      const auto scales = static_cast<std::size_t>(step::scales_at(target_.parameter.value.numel));
      to.scales = part(bytes.subspan(scales), scales_of(range), sizeof(std::uint16_t));
    }
    return to;
  }

  [[nodiscard]] static Range scales_of(const Range& range) {
    return {range.from / storage::kBlock, range.to / storage::kBlock, scale_count(range.count)};
  }

  void add_states(const Piece& piece, const Range& range) {
    if (!has_same_states(*piece.record)) return convert_states(piece, range);
    const PieceRecord& record = *piece.record;
    for (std::size_t s = 0; s < state_count(); ++s) {
      const StoredState<std::byte> to = stored(s, range);
      piece.file->read(key_of(record.name, record.states[s].name), range.from, to.elements);
      piece.file->read(scales_key(record.name, record.states[s].name), scales_of(range).from, to.scales);
    }
  }

  void convert_states(const Piece& piece, const Range& range) {
    const PieceRecord& record = *piece.record;
    std::vector<std::vector<float>> numbers(state_count(), floats(range));
    std::vector<float*> pointers;
    for (std::size_t s = 0; s < state_count(); ++s) {
      const States format = record.format.states;
      const Bytes elements =
          read(piece, key_of(record.name, record.states[s].name), range, state_size(format));
      Bytes scales;
      if (format == States::quantized8) {
        scales = read(piece, scales_key(record.name, record.states[s].name), scales_of(range),
                      sizeof(std::uint16_t));
      }
      decode_state({format, record.states[s].is_nonnegative, elements, scales}, numbers[s]);
      pointers.push_back(numbers[s].data());
    }
    const auto count = static_cast<std::size_t>(range.count);
    const bool was_exact = record.format.states == States::float32;
    const bool is_exact = target_.format.states == States::float32;
    if (target_.variant.expand != nullptr && !was_exact && is_exact)
      target_.variant.expand(pointers.data(), count);
    if (target_.variant.compress != nullptr && was_exact && !is_exact) {
      target_.variant.compress(pointers.data(), count);
    }
    for (std::size_t s = 0; s < state_count(); ++s) encode_state(numbers[s], stored(s, range));
  }

  /// The stored elements of the target's parameter in a range.
  [[nodiscard]] StoredValue<std::byte> stored_value(const Range& range) {
    StoredValue<std::byte> to{target_.format, {}, {}};
    if (wanted_.values) to.elements = part(loaded_.value, range, size_of(target_.format.param));
    if (SavedState* const rest = stream(StreamRole::remainder)) {
      to.rest = part(rest->bytes, range, rest_size(target_.format.master));
    }
    return to;
  }

  void add_value(const Piece& piece, const Range& range) {
    const PieceRecord& record = *piece.record;
    const StoredValue<std::byte> to = stored_value(range);
    const std::string rest_key = key_of(record.name, rest_name(record.format.master));
    if (has_same_value(record)) {
      piece.file->read(record.name, range.from, to.elements);
      piece.file->read(rest_key, range.from, to.rest);
      return;
    }
    const Bytes elements = read(piece, record.name, range, size_of(record.format.param));
    Bytes rest;
    if (record.format.master != Master::none)
      rest = read(piece, rest_key, range, rest_size(record.format.master));
    std::vector<float> numbers = floats(range);
    decode_value({record.format, elements, rest}, numbers);
    encode_value(numbers, to);
  }

  void add_ema(const Piece& piece, const Range& range) {
    const std::string key = key_of(piece.record->name, kEma);
    SavedState& ema = *stream(StreamRole::ema);
    const std::span<std::byte> to = part(ema.bytes, range, size_of(ema.dtype));
    const DType dtype = *piece.record->ema;
    if (dtype == ema.dtype) return piece.file->read(key, range.from, to);
    std::vector<float> numbers = floats(range);
    decode_numbers(dtype, read(piece, key, range, size_of(dtype)), numbers);
    encode_numbers(numbers, ema.dtype, to);
  }

  const Target& target_;
  const Wanted wanted_;
  Loaded loaded_;
};

}  // namespace

Loaded put_together(const Target& target, std::vector<Piece> pieces, Wanted wanted) {
  keep_elements(pieces);
  check_pieces(target.parameter, pieces, wanted.shards);
  Assembly assembly(target, wanted);
  assembly.set_counts(*pieces.front().record);
  for (const Piece& piece : pieces) assembly.add(piece);
  return assembly.take();
}

}  // namespace onepass::checkpoint
