// shape.hpp - a shape as text, and its number of elements.
#pragma once

#include <cstdint>
#include <span>
#include <string>

#include "onepass/error.hpp"

namespace onepass::initializers {

/// Returns a shape as text, such as "(64, 3, 7, 7)".
inline std::string shape_text(std::span<const std::int64_t> shape) {
  std::string text = "(";
  for (const std::int64_t size : shape) text += (text.size() > 1 ? ", " : "") + std::to_string(size);
  return text + ")";
}

/// Returns the product of the sizes; 1 if there are no dimensions. Throws InvalidArgument if a size is
/// negative, or if the product of the sizes that are not 0 does not fit into 63 bits.
inline std::int64_t elements_of(std::span<const std::int64_t> shape) {
  std::int64_t product = 1;
  bool empty = false;
  for (const std::int64_t size : shape) {
    if (size < 0) throw InvalidArgument("onepass: a size in the shape " + shape_text(shape) + " is negative");
    empty = empty || size == 0;
    if (size != 0 && __builtin_mul_overflow(product, size, &product)) {
      throw InvalidArgument("onepass: the shape " + shape_text(shape) + " has more than 2^63 - 1 elements");
    }
  }
  return empty ? 0 : product;
}

}  // namespace onepass::initializers
