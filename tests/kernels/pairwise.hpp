// pairwise.hpp - a table of test cases in which every two levels of any two factors occur together.
#pragma once

#include <cstddef>
#include <numeric>
#include <vector>

namespace onepass::test {

/// The set of pairs of levels that some row already contains.
class MetPairs {
 public:
  explicit MetPairs(const std::vector<std::size_t>& levels) : first_level_(levels.size(), 0) {
    std::partial_sum(levels.begin(), levels.end() - 1, first_level_.begin() + 1);
    all_levels_ = first_level_.back() + levels.back();
    met_.resize(all_levels_ * all_levels_, false);
  }
  /// Returns whether level a of factor f has met level b of factor g. The order of the factors does not
  /// matter.
  [[nodiscard]] bool contains(std::size_t f, std::size_t a, std::size_t g, std::size_t b) const {
    return met_[index(f, a, g, b)];
  }
  void add_all(const std::vector<std::size_t>& row) {
    for (std::size_t f = 0; f < row.size(); ++f) {
      for (std::size_t g = f + 1; g < row.size(); ++g) met_[index(f, row[f], g, row[g])] = true;
    }
  }

 private:
  [[nodiscard]] std::size_t index(std::size_t f, std::size_t a, std::size_t g, std::size_t b) const {
    return f < g ? (first_level_[f] + a) * all_levels_ + first_level_[g] + b : index(g, b, f, a);
  }

  std::vector<std::size_t> first_level_;
  std::size_t all_levels_ = 0;
  std::vector<bool> met_;
};

/// Returns the level of factor h that adds the most new pairs with the levels chosen so far, or `otherwise`
/// if no level adds any.
inline std::size_t best_level(const MetPairs& met, std::size_t h, std::size_t levels,
                              const std::vector<std::size_t>& chosen, const std::vector<std::size_t>& row,
                              std::size_t otherwise) {
  std::size_t best = otherwise, best_gain = 0;
  for (std::size_t level = 0; level < levels; ++level) {
    std::size_t gain = 0;
    for (const std::size_t other : chosen) gain += met.contains(h, level, other, row[other]) ? 0u : 1u;
    if (gain > best_gain) {
      best_gain = gain;
      best = level;
    }
  }
  return best;
}

/// Returns rows with one level per factor, such that every pair of levels of two factors occurs in some row.
/// The algorithm is greedy and deterministic: a row starts with a pair that is still missing, and each
/// further factor takes the level that adds the most missing pairs.
inline std::vector<std::vector<std::size_t>> covering_rows(const std::vector<std::size_t>& levels) {
  MetPairs met(levels);
  std::vector<std::vector<std::size_t>> rows;
  const auto add_row = [&](std::size_t f, std::size_t a, std::size_t g, std::size_t b) {
    std::vector<std::size_t> row(levels.size()), chosen{f, g};
    row[f] = a;
    row[g] = b;
    for (std::size_t h = 0; h < levels.size(); ++h) {
      if (h == f || h == g) continue;
      row[h] = best_level(met, h, levels[h], chosen, row, rows.size() % levels[h]);
      chosen.push_back(h);
    }
    met.add_all(row);
    rows.push_back(row);
  };
  for (std::size_t f = 0; f < levels.size(); ++f) {
    for (std::size_t g = f + 1; g < levels.size(); ++g) {
      for (std::size_t pair = 0; pair < levels[f] * levels[g]; ++pair) {
        const std::size_t a = pair / levels[g], b = pair % levels[g];
        if (!met.contains(f, a, g, b)) add_row(f, a, g, b);
      }
    }
  }
  return rows;
}

}  // namespace onepass::test
