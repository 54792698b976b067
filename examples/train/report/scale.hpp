// scale.hpp - where a value lies along an axis, and which values are marked there.
#pragma once

#include <vector>

namespace train {

/// Maps [low, high] to pixels [from, to], linearly or by the logarithm.
class Scale {
 public:
  Scale(double low, double high, bool logarithmic, double from, double to);

  /// What has no logarithm lies far below.
  [[nodiscard]] double operator()(double value) const;
  /// Round values in [low, high]: multiples of 1, 2 or 5 times a power of ten; on a logarithmic scale those
  /// of 1, 2 and 5, of 1, 2, 3, 4, 5, 6 and 8 where that gives fewer than five, or powers of ten alone where
  /// it gives more than fourteen.
  [[nodiscard]] std::vector<double> ticks() const;

 private:
  [[nodiscard]] std::vector<double> linear_ticks() const;
  [[nodiscard]] std::vector<double> log_ticks() const;

  double low_, high_;
  bool logarithmic_;
  double from_, to_;
};

}  // namespace train
