// axes.hpp - the sums over rows and columns of matrices (step/axes.hpp), tile by tile: a codec decodes the
// streams, the rule computes a term for each element, and squares are added in double. It writes no stream.
// Compiled once for each instruction set, and not for a rule.
#pragma once

#include <algorithm>
#include <cstdint>

#include "host/cpu/staged/measure.hpp"
#include "step/axes.hpp"

// Internal linkage: loops/update.hpp says why.
namespace onepass::cpu {
namespace {

using step::kEight;
using step::kStripe;

/// The terms of consecutive elements, in their order. Has room for a band of one stripe.
class BandTerms {
 public:
  void begin() { filled_ = 0; }
  [[nodiscard]] float* next() { return terms_ + filled_; }
  /// Returns how many terms there is room for.
  [[nodiscard]] std::int64_t left() const { return kRoom - filled_; }
  void advance(std::int64_t some) { filled_ += some; }
  /// As ChunkSums::take(), for one term.
  void take(const float* terms, int first, int last, bool in_pairs) {
    for (int i = first; i < last; ++i) terms_[filled_++] = terms[in_pairs ? place_of(i) : i];
  }
  /// Brings the first `count` terms, which are whole blocks in the order of place_of(), into natural order.
  void put_in_order(std::int64_t count) {
    for (std::int64_t block = 0; block < count; block += storage::kBlock) {
      float pairs[storage::kBlock];
      std::copy_n(terms_ + block, storage::kBlock, pairs);
      for (int i = 0; i < storage::kBlock; ++i) terms_[block + i] = pairs[place_of(i)];
    }
  }
  [[nodiscard]] const float* row(std::int64_t first) const { return terms_ + first; }

 private:
  static constexpr std::int64_t kRoom = step::kBand * kStripe;

  std::int64_t filled_ = 0;
  alignas(64) float terms_[kRoom];
};

/// The sums of a band: of its columns so far, and of the rows of the present group.
struct BandSums {
  static constexpr std::int64_t kRoom = step::kMostStripes * kStripe;

  alignas(64) double squares[kStripe];
  alignas(64) double group[kRoom];
  alignas(64) double columns[kRoom];

  void begin(std::int64_t width) { std::fill_n(columns, width, 0.0), std::fill_n(group, width, 0.0); }
  /// Takes the terms of a row in a stripe, of which it has `width` columns, and returns their sum. Adds them
  /// to the columns from number `first` on, if `sums_columns`.
  double take(const float* terms, std::int64_t width, std::int64_t first, bool sums_columns) {
    for (std::int64_t i = 0; i < width; ++i) {
      squares[i] = static_cast<double>(terms[i]) * static_cast<double>(terms[i]);
    }
    const std::int64_t eights = (width + kEight - 1) / kEight;
    std::fill(squares + width, squares + eights * kEight, 0.0);
    if (sums_columns) {
      for (std::int64_t i = 0; i < width; ++i) group[first + i] += squares[i];
    }
    return row_sum(eights);
  }
  /// Adds the group to the columns, and empties it.
  void end_group(std::int64_t width) {
    for (std::int64_t i = 0; i < width; ++i) columns[i] += group[i];
    std::fill_n(group, width, 0.0);
  }

 private:
  /// Adds the squares up.
  double row_sum(std::int64_t eights) {
    for (std::int64_t half = eights > 1 ? kStripe / kEight / 2 : 0; half > 0; half /= 2) {
      for (std::int64_t i = half; i < std::min(eights, 2 * half); ++i) {
        double* const to = squares + (i - half) * kEight;
        for (int j = 0; j < kEight; ++j) to[j] += squares[i * kEight + j];
      }
    }
    for (int half = kEight / 2; half > 0; half /= 2) {
      for (int j = 0; j < half; ++j) squares[j] += squares[j + half];
    }
    return squares[0];
  }
};

/// A pass of a rule over the tiles of tensors in one format.
struct AxisPass {
  const StagedLoops& rule;
  ChooseCodec choose;
  int pass;

  [[nodiscard]] const AxisLoop& loop() const { return rule.axis_passes[static_cast<std::size_t>(pass)]; }
};

/// Computes the terms of the elements of one chunk.
void measure_terms(const step::Table& table, const AxisPass& pass, const step::Chunk& chunk, Stores stores,
                   BandTerms& terms) {
  const SharedCoefficients& k = shared_coefficients(table, chunk.tensor);
  const step::TensorEntry& tensor = table.tensors[chunk.tensor];
  StagedLoops read = pass.rule;
  if (pass.loop().reads < rule::kState<0>) read.states = 0;
  const StageCodec codec = codec_of(tensor, read, pass.choose, k, stores);
  auto streams = StagedStreams::of(tensor, table.grads[chunk.tensor], chunk, codec.bytes, read, stores);
  streams.lead = 0;
  streams.unread_states = pass.rule.states - read.states;
  if (pass.pass == 0) {  // Pass 0 has no numbers yet.
    streams.unread_states += pass.rule.lines;
  } else {
    streams.lines = LineNumbers::of(table, chunk, pass.rule);
  }
  streams.reads = read_by(pass.loop().reads, k.around);
  measure_stages(codec, {pass.loop().terms, &k}, streams, chunk.count, terms);
  if (codec.in_pairs) terms.put_in_order(chunk.count / storage::kBlock * storage::kBlock);
}

/// The sums of a tile. Matrices of one stripe are consecutive in memory, so all terms of their tile are
/// computed at once; in others those of a row are.
class TileSums {
 public:
  TileSums(const step::Table& table, const AxisPass& pass, const step::AxisTile& tile, Stores stores)
      : table_(table),
        pass_(pass),
        tile_(tile),
        axes_(table.axes[tile.tensor]),
        stores_(stores),
        width_(step::width_of(axes_, tile.stripe, tile.stripes)),
        is_contiguous_(axes_.stripes() == 1),
        first_row_(step::band_of(axes_, tile.band).row) {}

  void take(BandTerms& terms, BandSums& sums) const {
    if (is_contiguous_) {
      const step::Band last = step::band_of(axes_, tile_.band + tile_.bands - 1);
      measure_rows(first_row_, last.row + last.rows - first_row_, terms);
    }
    for (std::int64_t band = tile_.band; band < tile_.band + tile_.bands; ++band) take(band, terms, sums);
  }

 private:
  void measure_rows(std::int64_t row, std::int64_t rows, BandTerms& terms) const {
    step::Chunk chunk = step::segment_of(axes_, tile_.tensor, row, tile_.stripe, tile_.stripes);
    chunk.count *= static_cast<std::uint32_t>(rows);
    terms.begin();
    measure_terms(table_, pass_, chunk, stores_, terms);
  }
  void take(std::int64_t band, BandTerms& terms, BandSums& sums) const {
    const step::Band rows = step::band_of(axes_, band);
    const bool sums_columns = pass_.loop().sums_columns;
    sums.begin(width_);
    for (std::int64_t r = 0; r < rows.rows; ++r) {
      const std::int64_t row = rows.row + r;
      if (!is_contiguous_) measure_rows(row, 1, terms);
      take_row(row, terms.row(is_contiguous_ ? (row - first_row_) * width_ : 0), sums);
      if (sums_columns && (r + 1 == rows.rows || (r + 1) % step::kGroup == 0)) sums.end_group(width_);
    }
    if (!sums_columns) return;
    std::copy_n(sums.columns, width_,
                axes_.column_sums + band * axes_.matrices.columns + tile_.stripe * kStripe);
  }
  void take_row(std::int64_t row, const float* terms, BandSums& sums) const {
    double* const to = axes_.row_sums + row * axes_.stripes() + tile_.stripe;
    for (std::int64_t stripe = 0; stripe < tile_.stripes; ++stripe) {
      const std::int64_t first = stripe * kStripe;
      to[stripe] =
          sums.take(terms + first, std::min(kStripe, width_ - first), first, pass_.loop().sums_columns);
    }
  }

  const step::Table& table_;
  const AxisPass& pass_;
  const step::AxisTile& tile_;
  const step::AxisEntry& axes_;
  Stores stores_;
  std::int64_t width_;
  bool is_contiguous_;
  std::int64_t first_row_;
};

/// Takes the sums of the tiles [first, last) of the table, all of which have the format of the pass.
void measure_axis_tiles(const step::Table& table, const AxisPass& pass, std::int64_t first, std::int64_t last,
                        Stores stores) {
  BandTerms terms;
  BandSums sums;
  for (std::int64_t t = first; t < last; ++t) {
    const step::AxisTile& tile = table.axis_tiles[t];
    if (shared_coefficients(table, tile.tensor).step.active)
      TileSums(table, pass, tile, stores).take(terms, sums);
  }
}

}  // namespace
}  // namespace onepass::cpu
