// matrices.hpp - means over the rows and columns of the matrices that a tensor consists of.
#pragma once

#include <vector>

#include "reference/shared.hpp"

namespace reference {

/// Places of the elements of a tensor.
struct Matrices {
  std::size_t rows, columns;

  explicit Matrices(const TensorStep& tensor) : rows(tensor.rows), columns(tensor.columns) {}

  /// The row of an element, counted through all matrices; likewise its column.
  [[nodiscard]] std::size_t row(std::size_t i) const { return i / columns; }
  [[nodiscard]] std::size_t column(std::size_t i) const { return matrix(i) * columns + i % columns; }
  [[nodiscard]] std::size_t matrix(std::size_t i) const { return i / (rows * columns); }

  /// Returns the mean of numbers over lines, for each element that of its own. line(i): the line of element
  /// i.
  template <class Line>
  [[nodiscard]] static std::vector<Number> means(const std::vector<Number>& numbers, Line line) {
    std::vector<Number> sums(numbers.size());
    std::vector<double> counts(numbers.size());
    for (std::size_t i = 0; i < numbers.size(); ++i) {
      sums[line(i)] = sums[line(i)] + numbers[i];
      counts[line(i)] += 1.0;
    }
    std::vector<Number> of_elements;
    for (std::size_t i = 0; i < numbers.size(); ++i)
      of_elements.push_back(sums[line(i)] / Number(counts[line(i)]));
    return of_elements;
  }
  [[nodiscard]] std::vector<Number> over_rows(const std::vector<Number>& numbers) const {
    return means(numbers, [&](std::size_t i) { return row(i); });
  }
  [[nodiscard]] std::vector<Number> over_columns(const std::vector<Number>& numbers) const {
    return means(numbers, [&](std::size_t i) { return column(i); });
  }
  /// The mean over each matrix. Of states of rows it is that of the rows, since each has as many elements.
  [[nodiscard]] std::vector<Number> over_matrices(const std::vector<Number>& numbers) const {
    return means(numbers, [&](std::size_t i) { return matrix(i); });
  }
};

/// Moves the states `row` and `column` of each element by the means of the squares of numbers, and returns
/// their product over the mean of `row`: the factored average of squares. `least`: of that mean.
inline std::vector<Number> factored(const TensorStep& tensor, const std::vector<Number>& numbers,
                                    std::size_t row, std::size_t column, double eps, double weight,
                                    double least) {
  const Matrices matrices(tensor);
  std::vector<Number> squares, rows;
  for (const Number& x : numbers) squares.push_back(x * x + Number(eps));
  const std::vector<Number> of_rows = matrices.over_rows(squares),
                            of_columns = matrices.over_columns(squares);
  for (std::size_t i = 0; i < squares.size(); ++i) {
    Element& e = tensor.elements[i];
    e.state[row] = average(e.state[row], of_rows[i], weight);
    e.state[column] = average(e.state[column], of_columns[i], weight);
    rows.push_back(e.state[row]);
  }
  const std::vector<Number> mean = matrices.over_matrices(rows);
  std::vector<Number> products;
  for (std::size_t i = 0; i < squares.size(); ++i) {
    products.push_back(rows[i] / max(mean[i], Number(least)) * tensor.elements[i].state[column]);
  }
  return products;
}

/// The root of the mean of squares; `otherwise` if it is NaN.
inline Number root_mean_square(const std::vector<Number>& numbers, double otherwise) {
  SumOfSquares sum;
  for (const Number& x : numbers) sum.add(x);
  const Number rms = sum.norm() / Number(std::sqrt(static_cast<double>(numbers.size())));
  return std::isnan(rms.value) ? Number(otherwise) : rms;
}

}  // namespace reference
