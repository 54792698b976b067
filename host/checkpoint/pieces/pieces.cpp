#include "host/checkpoint/pieces/pieces.hpp"

#include <algorithm>
#include <cstdint>
#include <cstring>
#include <map>
#include <ranges>
#include <utility>

#include "host/check/sentence.hpp"
#include "host/checkpoint/json.hpp"
#include "host/checkpoint/layout.hpp"
#include "host/checkpoint/pieces/check.hpp"
#include "host/checkpoint/pieces/convert.hpp"
#include "step/table.hpp"

namespace onepass::checkpoint {
namespace {

using Bytes = std::vector<std::byte>;

std::size_t bytes_of(std::int64_t elements, std::size_t size) {
  return static_cast<std::size_t>(elements) * size;
}

/// The part of a parameter's stream that a range has.
std::span<std::byte> part(std::span<std::byte> stream, const Common& range, std::size_t size) {
  return stream.subspan(bytes_of(range.to, size), bytes_of(range.count, size));
}

/// Reads the part of a piece's tensor that a range has.
Bytes read(const Piece& piece, const std::string& key, const Common& range, std::size_t size) {
  Bytes bytes(bytes_of(range.count, size));
  piece.file->read(key, range.from, bytes);
  return bytes;
}

std::vector<float> floats(const Common& range) {
  return std::vector<float>(static_cast<std::size_t>(range.count));
}

std::vector<std::string> names_of(std::span<const StateRecord> states) {
  std::vector<std::string> names;
  for (const StateRecord& state : states) names.push_back(state.name);
  return names;
}

/// Puts one parameter together, range by range.
class Assembly {
 public:
  Assembly(const Target& target, Wanted wanted)
      : target_(target), shard_(Shard::of(target.parameter)), wanted_(wanted) {
    loaded_.saved.name = target.parameter.name;
    for (const StreamSpec& spec : target.specs) {
      loaded_.saved.states.push_back({spec.name, spec.dtype, Bytes(spec.bytes(shard_))});
    }
    if (wanted.values) loaded_.value.resize(target.parameter.value.bytes());
  }

  void set_scalars(const PieceRecord& record) {
    std::vector<std::string> names;
    for (const ScalarRecord& one : record.scalars) names.push_back(one.name);
    if (!std::ranges::equal(names, target_.variant.scalars)) {
      refuse_content("it has the scalars " + listed(names) + " for " + onepass::quoted(record.name) +
                     ", but this optimizer's are " + listed(target_.variant.scalars));
    }
    auto scalar = record.scalars.begin();
    for (std::size_t s = 0; s < target_.specs.size(); ++s) {
      if (target_.specs[s].role != StreamRole::scalar) continue;
      std::memcpy(loaded_.saved.states[s].bytes.data(), &(scalar++)->value, sizeof(double));
    }
  }

  /// Reads the states of rows and columns, which a file has as a whole.
  void set_lines(const Piece& piece) {
    std::vector<LineRecord> wanted;
    for (const StreamSpec& spec : target_.specs) {
      if (spec.role == StreamRole::line) wanted.push_back({spec.name, *spec.numel});
    }
    check_lines(*piece.record, wanted);
    for (std::size_t s = 0; s < target_.specs.size(); ++s) {
      if (target_.specs[s].role != StreamRole::line) continue;
      piece.file->read(key_of(piece.record->name, target_.specs[s].name), 0, loaded_.saved.states[s].bytes);
    }
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
    for (const Common& range : common_of(piece.record->shard(), shard_)) {
      add_states(piece, range);
      add_value(piece, range);
      if (piece.record->ema) add_ema(piece, range);
      if (piece.record->is_slow) read_floats(piece, range, kSlow, stream(StreamRole::slow)->bytes);
      if (piece.record->accumulated != 0) read_floats(piece, range, kGradientSum, loaded_.saved.gradient_sum);
    }
  }

  /// Call it once, after all pieces were added.
  [[nodiscard]] Loaded take() {
    for (DividedBlock& block : divided_ | std::views::values) {
      for (std::size_t s = 0; s < state_count(); ++s) encode_state(block.numbers[s], stored(s, block.place));
    }
    return std::move(loaded_);
  }

 private:
  /// The numbers of a block of 8-bit states of which the files have other parts than the parameter has. They
  /// are encoded when all of them are known.
  struct DividedBlock {
    Common place;  ///< `from` does not matter.
    std::vector<std::vector<float>> numbers;
  };

  [[nodiscard]] std::size_t state_count() const { return target_.variant.states.size(); }
  [[nodiscard]] States format_of(std::size_t state) const {
    return target_.variant.storage_of(state, target_.format);
  }
  [[nodiscard]] bool has_same_states(const PieceRecord& record) const {
    if (record.format.states != target_.format.states) return false;
    for (std::size_t s = 0; s < state_count(); ++s) {
      const StateRecord& state = record.states[s];
      if (state.is_nonnegative != target_.variant.is_nonnegative(s) || state.format != format_of(s)) {
        return false;
      }
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
    if (record.is_slow != (stream(StreamRole::slow) != nullptr)) {
      refuse_content(std::string("it has ") + (record.is_slow ? "" : "no ") + "slow weights of " + name +
                     ", but this optimizer keeps " + (record.is_slow ? "none" : "some"));
    }
    if (has_same_value(record)) return;
    const std::string both = name + " is " + onepass::to_string(record.format) + " in the file, but " +
                             onepass::to_string(target_.format) + " here, and ";
    if (!wanted_.values) refuse_content(both + "only LoadCheckpointOptions::parameters converts it");
    if (!has_codec(record.format)) refuse_content(both + "this program does not have the former");
  }

  /// The stored elements of a target's state in a range.
  [[nodiscard]] StoredState<std::byte> stored(std::size_t state, const Common& range) {
    const std::span<std::byte> bytes(loaded_.saved.states[state].bytes);
    const storage::StateLayout layout = storage::layout_of(format_of(state));
    StoredState<std::byte> to{format_of(state),
                              target_.variant.is_nonnegative(state),
                              part(bytes, range, size_of(layout.element)),
                              {},
                              lead_of(range)};
    if (layout.has_scales) {
      const auto scales = static_cast<std::size_t>(step::scales_at(shard_.numel));
      const Common of_scales{0, 0, shard_.scale_of(range.to), blocks_of(range.first, range.count)};
      to.scales = part(bytes.subspan(scales), of_scales, size_of(layout.scale));
    }
    return to;
  }

  static std::size_t lead_of(const Common& range) {
    return static_cast<std::size_t>(range.first % storage::kBlock);
  }

  /// Adds the states of a range. Where states have scales, blocks that the file and the parameter have
  /// different parts of wait for their other parts.
  void add_states(const Piece& piece, const Common& range) {
    if (!storage::layout_of(target_.format.states).has_scales) return add_alike(piece, range);
    const std::int64_t alike = range.count - range.divided_first - range.divided_last;
    add_divided(piece, range.part(0, range.divided_first));
    if (alike > 0) add_alike(piece, range.part(range.divided_first, alike));
    add_divided(piece, range.part(range.divided_first + alike, range.divided_last));
  }

  void add_alike(const Piece& piece, const Common& range) {
    const PieceRecord& record = *piece.record;
    if (!has_same_states(record)) {
      std::vector<std::vector<float>> numbers = numbers_of(piece, range);
      for (std::size_t s = 0; s < state_count(); ++s) encode_state(numbers[s], stored(s, range));
      return;
    }
    const std::int64_t scale = record.shard().scale_of(range.from);
    for (std::size_t s = 0; s < state_count(); ++s) {
      const StoredState<std::byte> to = stored(s, range);
      piece.file->read(key_of(record.name, record.states[s].name), range.from, to.elements);
      if (to.scales.empty()) continue;
      piece.file->read(scales_key(record.name, record.states[s].name), scale, to.scales);
    }
  }

  /// Adds elements of one block.
  void add_divided(const Piece& piece, const Common& range) {
    if (range.count == 0) return;
    const std::vector<std::vector<float>> numbers = numbers_of(piece, range);
    DividedBlock& block = divided_block(range);
    for (std::size_t s = 0; s < state_count(); ++s) {
      std::ranges::copy(numbers[s], block.numbers[s].begin() + (range.to - block.place.to));
    }
  }

  /// Returns the block that the range lies in.
  DividedBlock& divided_block(const Common& range) {
    const auto [found, is_new] = divided_.try_emplace(shard_.scale_of(range.to));
    DividedBlock& block = found->second;
    if (!is_new) return block;
    const std::int64_t begin = shard_.begin_of(range.to / shard_.run);
    const std::int64_t before = range.first - range.first % storage::kBlock;
    const std::int64_t first = std::max(begin, before);
    const std::int64_t end = std::min(begin + shard_.run, before + storage::kBlock);
    block.place = {first, 0, range.to - (range.first - first), end - first};
    block.numbers.assign(state_count(), floats(block.place));
    return block;
  }

  /// Reads the states of a range as the numbers that the target encodes.
  [[nodiscard]] std::vector<std::vector<float>> numbers_of(const Piece& piece, const Common& range) const {
    const PieceRecord& record = *piece.record;
    std::vector<std::vector<float>> numbers(state_count(), floats(range));
    std::vector<float*> pointers;
    for (std::size_t s = 0; s < state_count(); ++s) {
      const StateRecord& state = record.states[s];
      const storage::StateLayout layout = storage::layout_of(state.format);
      const Bytes elements = read(piece, key_of(record.name, state.name), range, size_of(layout.element));
      Bytes scales;
      if (layout.has_scales) {
        const Common of_scales{0, record.shard().scale_of(range.from), 0,
                               blocks_of(range.first, range.count)};
        scales = read(piece, scales_key(record.name, state.name), of_scales, size_of(layout.scale));
      }
      decode_state({state.format, state.is_nonnegative, elements, scales, lead_of(range)}, numbers[s]);
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
    return numbers;
  }

  /// The stored elements of the target's parameter in a range.
  [[nodiscard]] StoredValue<std::byte> stored_value(const Common& range) {
    StoredValue<std::byte> to{target_.format, {}, {}};
    if (wanted_.values) to.elements = part(loaded_.value, range, size_of(target_.format.param));
    if (SavedState* const rest = stream(StreamRole::remainder)) {
      to.rest = part(rest->bytes, range, rest_size(target_.format.master));
    }
    return to;
  }

  void add_value(const Piece& piece, const Common& range) {
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

  void add_ema(const Piece& piece, const Common& range) {
    const std::string key = key_of(piece.record->name, kEma);
    SavedState& ema = *stream(StreamRole::ema);
    const std::span<std::byte> to = part(ema.bytes, range, size_of(ema.dtype));
    const DType dtype = *piece.record->ema;
    if (dtype == ema.dtype) return piece.file->read(key, range.from, to);
    std::vector<float> numbers = floats(range);
    decode_numbers(dtype, read(piece, key, range, size_of(dtype)), numbers);
    encode_numbers(numbers, ema.dtype, to);
  }

  static void read_floats(const Piece& piece, const Common& range, std::string_view stream, Bytes& into) {
    piece.file->read(key_of(piece.record->name, stream), range.from, part(into, range, sizeof(float)));
  }

  const Target& target_;
  const Shard shard_;
  const Wanted wanted_;
  Loaded loaded_;
  std::map<std::int64_t, DividedBlock> divided_;  ///< By scale.
};

}  // namespace

Loaded put_together(const Target& target, std::vector<Piece> pieces, Wanted wanted) {
  keep_elements(pieces);
  check_numbers(target.parameter, pieces);
  check_elements(target.parameter, pieces, wanted.shards);
  Assembly assembly(target, wanted);
  assembly.set_counts(*pieces.front().record);
  for (const Piece& piece : pieces) assembly.add(piece);
  assembly.set_scalars(*pieces.front().record);
  assembly.set_lines(pieces.front());
  return assembly.take();
}

}  // namespace onepass::checkpoint
