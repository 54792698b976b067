// shard_sums.hpp - the sums over tensors and over the model as integers in the caller's memory, which shards
// combine.
#pragma once

#include <cstdint>

#include "step/global.hpp"
#include "step/lookup.hpp"
#include "step/shard_measure.hpp"
#include "step/table.hpp"

namespace onepass::step {

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
