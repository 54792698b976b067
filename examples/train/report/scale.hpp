// scale.hpp - maps values to pixels along an axis, and chooses its ticks.
#pragma once

#include <vector>

namespace train {

/// Maps [low, high] to pixels [from, to], linearly or by the logarithm.
class Scale {
 public:
  Scale(double low, double high, bool logarithmic, double from, double to);

  /// Returns the pixel of a value. On a logarithmic scale values that are not positive lie far below the
  /// axis.
  [[nodiscard]] double operator()(double value) const;
  /// Returns round values in [low, high]. A linear scale has multiples of 1, 2 or 5 times a power of ten. A
  /// logarithmic scale has 1, 2 and 5 times powers of ten; 1, 2, 3, 4, 5, 6 and 8 times powers of ten if
  /// those are fewer than five; or only powers of ten if they are more than fourteen.
  [[nodiscard]] std::vector<double> ticks() const;

 private:
  [[nodiscard]] std::vector<double> linear_ticks() const;
  [[nodiscard]] std::vector<double> log_ticks() const;

  double low_, high_;
  bool logarithmic_;
  double from_, to_;
};

}  // namespace train
