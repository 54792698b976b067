// exact_leaf.hpp - adds a leaf of float32 to an exact sum, without a rounding. Compiled once for each
// instruction set.
#pragma once

#include <cstdint>

#include "step/exact_leaf.hpp"
#include "step/exact_sum.hpp"
#include "step/reduction.hpp"

// Internal linkage: loops/update.hpp says why.
namespace onepass::cpu {
namespace {

using step::ExactSum;
using step::kLeaf;
using step::kSlots;
using step::Measure;

constexpr int kRows = kLeaf / kSlots;

/// Operations for step::add_leaf() on a reduction that belongs to one thread.
struct OwnWords {
  static void set(std::uint64_t& word) { word = 1; }
  static void raise(std::uint64_t& word, std::uint64_t x) {
    if (x > word) word = x;
  }
  static void add(std::uint64_t& word, std::uint64_t x) { word += x; }
};

/// Operations for step::merge() on sums that all threads add to.
struct SharedWords {
  static void set(std::uint64_t& word) { __atomic_store_n(&word, std::uint64_t{1}, __ATOMIC_RELAXED); }
  static void raise(std::uint64_t& word, std::uint64_t x) {
    std::uint64_t seen = __atomic_load_n(&word, __ATOMIC_RELAXED);
    while (x > seen &&
           !__atomic_compare_exchange_n(&word, &seen, x, true, __ATOMIC_RELAXED, __ATOMIC_RELAXED)) {
    }
  }
  static void add(std::uint64_t& word, std::uint64_t x) { __atomic_fetch_add(&word, x, __ATOMIC_RELAXED); }
};

inline step::LeafBits bits_of(const float* leaf) {
  step::LeafBits bits;
  for (int i = 0; i < kLeaf; ++i) bits.include(leaf[i]);
  return bits;
}

/// Adds a leaf of one bin.
template <Measure kMeasure>
void add_one_bin(const float* leaf, const step::Bins& bins, ExactSum& into) {
  const double anchor = bins.anchor(0);
  std::int64_t count = 0;
  for (int slot = 0; slot < kSlots; ++slot) {
    double sum = anchor;
    for (int row = 0; row < kRows; ++row) {
      sum += step::exact_term<kMeasure>(leaf[row * kSlots + slot]);
    }
    count += step::units(sum, anchor);
  }
  std::int64_t carry = 0;
  step::add_bin<OwnWords>(into, bins, 0, count, carry);
}

/// Adds a leaf of two bins, as most leaves of float32 are.
template <Measure kMeasure>
void add_two_bins(const float* leaf, const step::Bins& bins, ExactSum& into) {
  const double anchors[2] = {bins.anchor(0), bins.anchor(1)};
  std::int64_t counts[2] = {0, 0};
  for (int slot = 0; slot < kSlots; ++slot) {
    double low = anchors[0];
    double high = anchors[1];
    for (int row = 0; row < kRows; ++row) {
      low += step::fill(high, step::exact_term<kMeasure>(leaf[row * kSlots + slot]));
    }
    counts[0] += step::units(low, anchors[0]);
    counts[1] += step::units(high, anchors[1]);
  }
  std::int64_t carry = 0;
  for (int b = 0; b < 2; ++b) step::add_bin<OwnWords>(into, bins, b, counts[b], carry);
}

/// Adds a leaf of any number of bins, bin by bin from the highest. Keeps what is left of each term.
template <Measure kMeasure>
void add_many_bins(const float* leaf, const step::Bins& bins, ExactSum& into) {
  double rests[kLeaf];
  for (int i = 0; i < kLeaf; ++i) rests[i] = step::exact_term<kMeasure>(leaf[i]);
  std::int64_t counts[step::kMostBins];
  for (int b = bins.count - 1; b >= 0; --b) {
    const double anchor = bins.anchor(b);
    std::int64_t count = 0;
    for (int slot = 0; slot < kSlots; ++slot) {
      double sum = anchor;
      for (int row = 0; row < kRows; ++row) {
        double& rest = rests[row * kSlots + slot];
        rest = step::fill(sum, rest);
      }
      count += step::units(sum, anchor);
    }
    counts[b] = count;
  }
  std::int64_t carry = 0;
  for (int b = 0; b < bins.count; ++b) step::add_bin<OwnWords>(into, bins, b, counts[b], carry);
}

/// Adds a leaf of kLeaf elements without a rounding. Returns 0, or infinity or NaN if an element is.
template <Measure kMeasure>
double add_exact_leaf(const float* leaf, ExactSum& into) {
  const step::LeafBits bits = bits_of(leaf);
  if (!bits.is_finite()) return bits.special();
  if (bits.is_zero()) return 0.0;
  const step::Bins bins = step::bins_of<kMeasure>(bits);
  if (bins.count == 1) {
    add_one_bin<kMeasure>(leaf, bins, into);
  } else if (bins.count == 2) {
    add_two_bins<kMeasure>(leaf, bins, into);
  } else {
    add_many_bins<kMeasure>(leaf, bins, into);
  }
  return 0.0;
}

}  // namespace
}  // namespace onepass::cpu
