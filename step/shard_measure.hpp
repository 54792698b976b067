// shard_measure.hpp - measures of gradients, and the sums over tensors and over the model, as integers in the
// caller's memory, which shards combine.
#pragma once

#include <cstdint>

#include "step/global.hpp"
#include "step/lookup.hpp"
#include "step/table.hpp"

namespace onepass::step {

/// Numbers of a sum: its limbs, with carries passed on, then 1 if it met an infinite leaf, then 1 if it met a
/// NaN. Each is below 2^32, so int64 sums over 2^31 shards do not overflow.
inline constexpr std::int64_t kSumWords = ExactSum::kLimbs + 2;

/// The bits of positive infinity and of a NaN. As integers they are above those of every finite double.
inline constexpr std::uint64_t kInfinityBits = std::uint64_t{0x7ff} << 52;
inline constexpr std::uint64_t kNaNBits = std::uint64_t{0xfff} << 51;

/// Measures in the caller's memory. The host fixes their size, so that a replay of a captured graph writes no
/// more, whatever the settings have become.
struct ShardMeasure {
  std::int64_t* words;
  std::int64_t records;     ///< 1; one for each group if the settings clip by group; or if they clip by
                            ///< parameter one for each tensor, and then one for all of them.
  std::int64_t apart;       ///< Words of a record: kSumWords, or 1 for Measure::largest.
  std::int64_t of_tensors;  ///< 1: the records are those of tensors.
};

/// Writes a measure. Measure::largest is the bits of a double, so that the maximum of several shards is that
/// of their gradients: NaN, else infinity, else the largest.
ONEPASS_LANE void pack(const Reduction& measure, std::int64_t* words, std::int64_t apart) {
  if (apart == 1) {
    const std::uint64_t special = measure.nan != 0 ? kNaNBits : kInfinityBits;
    const bool is_finite = (measure.nan | measure.infinite) == 0;
    words[0] = static_cast<std::int64_t>(is_finite ? measure.largest : special);
    return;
  }
  const ExactSum sum = carried(measure.sum);
  for (int i = 0; i < ExactSum::kLimbs; ++i) words[i] = static_cast<std::int64_t>(sum.limbs[i]);
  words[ExactSum::kLimbs] = static_cast<std::int64_t>(measure.infinite);
  words[ExactSum::kLimbs + 1] = static_cast<std::int64_t>(measure.nan);
}

/// Reads what pack() has written, after all shards were combined. It does not say where a gradient was not
/// finite.
ONEPASS_LANE Reduction unpacked(const std::int64_t* words, std::int64_t apart) {
  Reduction measure = Reduction::none();
  if (apart == 1) {
    const auto bits = static_cast<std::uint64_t>(words[0]);
    measure.nan = bits > kInfinityBits ? 1 : 0;
    measure.infinite = bits == kInfinityBits ? 1 : 0;
    if (bits < kInfinityBits) measure.largest = bits;
    return measure;
  }
  for (int i = 0; i < ExactSum::kLimbs; ++i) measure.sum.limbs[i] = static_cast<std::uint64_t>(words[i]);
  measure.sum = carried(measure.sum);
  measure.infinite = words[ExactSum::kLimbs] != 0 ? 1 : 0;
  measure.nan = words[ExactSum::kLimbs + 1] != 0 ? 1 : 0;
  return measure;
}

/// Moves the measures of the tensors into the caller's memory, if it has room for them. Threads as below.
ONEPASS_LANE void give_tensors(const Table& table, const ShardMeasure& to, std::int64_t thread,
                               std::int64_t threads) {
  if (to.of_tensors == 0 && table.control->settings.clips_by_parameter == 0) return;
  for (std::int64_t t = thread; t < table.tensor_count; t += threads) {
    if (to.of_tensors != 0)
      pack(table.tensor_gradients[t], declared_global(to.words) + t * to.apart, to.apart);
    table.tensor_gradients[t] = Reduction::none();
  }
}

/// Moves the measures of a launch into the caller's memory, and remembers the first element that was not
/// finite. Each of `threads` threads calls this once and moves its share of the groups and tensors.
ONEPASS_LANE void give_measure(const Table& table, const ShardMeasure& to, std::int64_t thread,
                               std::int64_t threads) {
  Control& control = *table.control;
  std::int64_t* const words = declared_global(to.words);
  const bool has_groups = to.records > 1 && to.of_tensors == 0;
  give_tensors(table, to, thread, threads);
  for (std::int64_t group = thread; has_groups && group < to.records; group += threads) {
    pack(table.group_gradients[group], words + group * to.apart, to.apart);
  }
  for (std::int64_t group = thread; group < table.group_count; group += threads) {
    table.group_gradients[group] = Reduction::none();
  }
  if (thread != 0) return;
  if (!has_groups) pack(control.gradients, words + (to.records - 1) * to.apart, to.apart);
  control.progress.measured_nonfinite = control.gradients.first_nonfinite;
  control.gradients = Reduction::none();
}

/// Puts measures from the caller's memory where a launch would put its own: those of the groups or tensors,
/// and that of all gradients. An element that was not finite is this shard's, or kElsewhere. Each of
/// `threads` threads calls this once.
ONEPASS_LANE void take_measure(const Table& table, const ShardMeasure& from, std::int64_t thread,
                               std::int64_t threads) {
  Control& control = *table.control;
  if (control.settings.measures_gradients == 0) return;
  const std::int64_t* const words = declared_global(from.words);
  const bool of_tensors = from.of_tensors != 0;
  const std::int64_t first = of_tensors ? from.records - 1 : 0;  // of the records that make up the whole
  for (std::int64_t t = thread; control.settings.clips_by_parameter != 0 && t < first; t += threads) {
    table.tensor_gradients[t] = unpacked(words + t * from.apart, from.apart);
  }
  for (std::int64_t group = thread; from.records > 1 && !of_tensors && group < from.records;
       group += threads) {
    table.group_gradients[group] = unpacked(words + group * from.apart, from.apart);
  }
  if (thread != 0) return;
  Reduction all = Reduction::none();
  for (std::int64_t record = first; record < from.records; ++record) {
    add(all, unpacked(words + record * from.apart, from.apart));
  }
  if (from.records == 1 && control.settings.clips_by_group != 0) table.group_gradients[0] = all;
  const std::uint64_t own = control.progress.measured_nonfinite;
  if ((all.infinite | all.nan) != 0) all.first_nonfinite = own != kNowhere ? own : kElsewhere;
  control.gradients = all;
  control.progress.measured_nonfinite = kNowhere;
}

/// Numbers of a tensor, or of the model: the sums (kSumWords), then the number of elements; 0 for the model.
inline constexpr std::int64_t kTensorWords = static_cast<std::int64_t>(kMaxSums) * kSumWords + 1;

/// Moves all sums (Table::sums) into the caller's memory, kTensorWords each. Each of `threads` threads calls
/// this once and moves its share.
ONEPASS_LANE void give_sums(const Table& table, std::int64_t* words, std::int64_t thread,
                            std::int64_t threads) {
  for (std::int64_t t = thread; t < table.sum_count; t += threads) {
    std::int64_t* const of_tensor = declared_global(words) + t * kTensorWords;
    for (std::size_t i = 0; i < kMaxSums; ++i) {
      pack(table.sums[t].of_terms[i], of_tensor + static_cast<std::int64_t>(i) * kSumWords, kSumWords);
    }
    of_tensor[kTensorWords - 1] = t < table.tensor_count ? table.tensors[t].numel : 0;
    table.sums[t] = TensorSums::none();
  }
}

/// Takes the sums over whole tensors from the caller's memory, for those that take part in the step, and
/// those over the model. Threads as above.
ONEPASS_LANE void take_sums(const Table& table, const std::int64_t* words, std::int64_t thread,
                            std::int64_t threads) {
  for (std::int64_t t = thread; t < table.sum_count; t += threads) {
    if (t < table.tensor_count && !step_of(table, t).active) continue;
    const std::int64_t* const of_tensor = declared_global(words) + t * kTensorWords;
    for (std::size_t i = 0; i < kMaxSums; ++i) {
      table.sums[t].of_terms[i] = unpacked(of_tensor + static_cast<std::int64_t>(i) * kSumWords, kSumWords);
    }
    table.sums[t].numel = of_tensor[kTensorWords - 1];
  }
}

}  // namespace onepass::step
