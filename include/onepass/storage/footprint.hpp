// footprint.hpp - what an optimizer's streams of numbers take in memory.
#pragma once

#include <cstddef>
#include <cstdint>
#include <string>
#include <vector>

#include "onepass/tensor.hpp"

namespace onepass {

/// Bytes of one stream of numbers, summed over all parameters.
struct StreamBytes {
  std::string name;  ///< "param", "grad", "master" or "remainder", "exp_avg", ...
  double bytes;
};

/// One stream of numbers that an optimizer keeps for a parameter, and the memory that it takes.
struct RequiredStream {
  std::string name;  ///< As in GivenStream.
  DType dtype;
  std::int64_t numel;
  std::size_t bytes;      ///< numel times the size of an element.
  std::size_t alignment;  ///< In bytes: that of an element. Steps are faster on streams aligned to 64.
};

/// All streams of one parameter.
struct RequiredMemory {
  std::string parameter;
  std::vector<RequiredStream> streams;
};

}  // namespace onepass
