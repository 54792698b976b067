// document.hpp - what a checkpoint has besides numbers, as text: the member "onepass" of its metadata.
#pragma once

#include <bit>
#include <cstdint>
#include <optional>
#include <string>
#include <vector>

#include "host/backend/shard.hpp"
#include "onepass/state_dict.hpp"
#include "onepass/storage/formats.hpp"

namespace onepass::checkpoint {

/// A state of a rule.
struct StateRecord {
  std::string name;
  bool is_nonnegative;  ///< It is never negative: in 8 bits it has the codes of Nonnegative8.
  States format;        ///< That of its parameter, or float32 if the rule keeps it so in every format.

  bool operator==(const StateRecord&) const = default;
};

/// A number that a rule carries for a parameter. All its shards have the same, bit for bit.
struct ScalarRecord {
  std::string name;
  double value;

  friend bool operator==(const ScalarRecord& a, const ScalarRecord& b) {
    return a.name == b.name && std::bit_cast<std::uint64_t>(a.value) == std::bit_cast<std::uint64_t>(b.value);
  }
};

/// A state of rows or columns.
struct LineRecord {
  std::string name;
  std::int64_t numel;

  bool operator==(const LineRecord&) const = default;
};

/// A parameter in a file: all of a logical tensor, or a shard of it.
struct PieceRecord {
  std::string name;
  std::int64_t first = 0;  ///< Offset in the logical tensor.
  std::int64_t numel = 0;
  std::int64_t run = 0;  ///< As in Parameter.
  std::int64_t pitch = 0;
  std::int64_t group = 0;
  std::int64_t step = 0;
  std::int64_t accumulated = 0;
  storage::FormatName format{};
  std::vector<StateRecord> states;
  std::optional<DType> ema;  ///< Type of the moving average, if there is one.
  std::vector<ScalarRecord> scalars = {};
  std::vector<LineRecord> lines = {};  ///< States of rows and columns, which shards have not.
  bool is_slow = false;                ///< Whether there are slow weights.

  [[nodiscard]] Shard shard() const { return Shard::of(numel, first, run, pitch); }
};

struct OptimizerRecord {
  StateDict settings;  ///< Everything but the parameters.
  std::vector<PieceRecord> pieces;
  /// When it was read: the text of each of the settings, by which files are compared.
  std::vector<SavedHyperparameter> texts = {};
};

struct Document {
  bool has_values = true;  ///< Whether the file has the values of the parameters.
  std::vector<OptimizerRecord> optimizers;
};

/// Throws InvalidArgument if a number is not finite or a name is no UTF-8.
[[nodiscard]] std::string to_text(const Document& document);

/// Throws InvalidArgument unless to_text() could have made the text: of this version, with every member, and
/// with each name once. It does not check counts, hyperparameters and schedules against an optimizer.
[[nodiscard]] Document parse_document(const std::string& text);

}  // namespace onepass::checkpoint
