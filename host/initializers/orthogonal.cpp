#include "host/initializers/orthogonal.hpp"

#include <algorithm>
#include <cmath>
#include <span>

#include "host/cpu/random.hpp"
#include "host/cpu/threads/parallel.hpp"

namespace onepass::initializers {
namespace {

using cpu::kTileColumns;
using cpu::Reflection;

/// Position of element (i, j) of a tall matrix in row-major memory, which holds the matrix itself or, if the
/// caller's matrix is wide, its transpose.
struct Layout {
  std::int64_t row_stride;
  std::int64_t column_stride;

  [[nodiscard]] std::size_t at(std::int64_t i, std::int64_t j) const {
    return static_cast<std::size_t>(i * row_stride + j * column_stride);
  }
};

/// Householder's QR decomposition of a tall matrix. The matrix is stored in tiles of kTileColumns columns
/// (not the tiles of the CUDA kernels), each with its rows one after the other, so that a tile stays in the
/// cache while reflections are applied to it. Columns of the last tile beyond the matrix are zero. The order
/// of every sum is fixed and does not depend on the thread that computes a tile.
class Decomposition {
 public:
  Decomposition(std::int64_t rows, std::int64_t cols, const Layout& layout, const std::vector<float>& values)
      : rows_(rows), cols_(cols), layout_(layout), tile_count_((cols + kTileColumns - 1) / kTileColumns) {
    tiles_.resize(static_cast<std::size_t>(tile_count_ * kTileColumns * rows));
    for (std::int64_t i = 0; i < rows; ++i) {
      for (std::int64_t j = 0; j < cols; ++j) element(i, j) = static_cast<double>(values[layout.at(i, j)]);
    }
    vectors_.resize(static_cast<std::size_t>(rows * cols));
    scales_.resize(static_cast<std::size_t>(cols));
    signs_.resize(static_cast<std::size_t>(cols));
  }

  /// Computes the reflections.
  void factor() {
    for (std::int64_t t = 0; t < tile_count_; ++t) {
      const std::int64_t first = t * kTileColumns, end = std::min(cols_, first + kTileColumns);
      for (std::int64_t r = first; r < end; ++r) {
        make_reflection(r);
        apply(r, t);
      }
      each_tile(t + 1, static_cast<double>(end - first), [&](std::int64_t other) {
        for (std::int64_t r = first; r < end; ++r) apply(r, other);
      });
    }
  }

  /// Writes the columns of Q, multiplied by the signs of R's diagonal and by the gain.
  void write(double gain, std::vector<float>& out) {
    each_tile(0, static_cast<double>(cols_) / 2.0, [&](std::int64_t t) {
      const std::int64_t first = t * kTileColumns, end = std::min(cols_, first + kTileColumns);
      std::fill_n(tile(t), rows_ * kTileColumns, 0.0);
      for (std::int64_t j = first; j < end; ++j) element(j, j) = 1.0;
      // Reflection r does not change the first r columns of the identity.
      for (std::int64_t r = end - 1; r >= 0; --r) apply(r, t);
      for (std::int64_t i = 0; i < rows_; ++i) {
        for (std::int64_t j = first; j < end; ++j) {
          out[layout_.at(i, j)] =
              static_cast<float>(gain * (signs_[static_cast<std::size_t>(j)] * element(i, j)));
        }
      }
    });
  }

 private:
  double* tile(std::int64_t t) { return tiles_.data() + t * kTileColumns * rows_; }
  double& element(std::int64_t i, std::int64_t j) {
    return tile(j / kTileColumns)[i * kTileColumns + j % kTileColumns];
  }

  /// Calls work(t) for the tiles from `first` on, in parallel. Each call applies about `reflections`
  /// reflections.
  template <class Work>
  void each_tile(std::int64_t first, double reflections, const Work& work) {
    constexpr double kNanosecondsEach = 0.3;  // For one reflection of one element of a tile.
    const double nanoseconds = reflections * static_cast<double>(rows_ * kTileColumns) * kNanosecondsEach;
    cpu::in_parallel(tile_count_ - first, nanoseconds, [&](std::int64_t begin, std::int64_t end) {
      for (std::int64_t t = first + begin; t < first + end; ++t) work(t);
    });
  }

  /// Computes the reflection with v = x + sign(x0) |x| e0, where x is column r from the diagonal down. It
  /// maps x to -sign(x0) |x| e0, the entry of R.
  void make_reflection(std::int64_t r) {
    const std::span<double> v(vectors_.data() + r * rows_ + r, static_cast<std::size_t>(rows_ - r));
    double square = 0.0;
    for (std::int64_t i = r; i < rows_; ++i) {
      const double x = element(i, r);
      v[static_cast<std::size_t>(i - r)] = x;
      square += x * x;
    }
    const double norm = std::sqrt(square);
    const double first = v[0];
    v[0] = first + (first < 0.0 ? -norm : norm);
    const auto index = static_cast<std::size_t>(r);
    signs_[index] = first < 0.0 ? 1.0 : -1.0;
    scales_[index] = norm > 0.0 ? 1.0 / (square + std::fabs(first) * norm) : 0.0;
  }

  /// Applies reflection r to tile t.
  void apply(std::int64_t r, std::int64_t t) {
    const Reflection reflection{vectors_.data() + r * rows_ + r, scales_[static_cast<std::size_t>(r)],
                                rows_ - r};
    loops_.reflect(reflection, tile(t) + r * kTileColumns);
  }

  std::int64_t rows_, cols_;
  Layout layout_;
  std::int64_t tile_count_;
  const cpu::RandomLoops& loops_ = cpu::best_random_loops();
  std::vector<double> tiles_;
  std::vector<double> vectors_;  ///< Vector r starts at r * rows + r; its first entry belongs to row r.
  std::vector<double> scales_;   ///< 2 / |v|^2
  std::vector<double> signs_;    ///< Signs of R's diagonal.
};

}  // namespace

std::vector<float> orthogonalize(const MatrixShape& shape, double gain, const std::vector<float>& normals) {
  const cpu::DefaultFloatEnvironment environment;
  std::vector<float> out(normals.size());
  const bool tall = shape.rows >= shape.cols;
  const Layout layout = tall ? Layout{shape.cols, 1} : Layout{1, shape.cols};
  Decomposition decomposition(std::max(shape.rows, shape.cols), std::min(shape.rows, shape.cols), layout,
                              normals);
  decomposition.factor();
  decomposition.write(gain, out);
  return out;
}

}  // namespace onepass::initializers
