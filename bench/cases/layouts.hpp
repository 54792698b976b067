// layouts.hpp - the tensor sizes of the measured models.
#pragma once

#include <cstdint>
#include <string>
#include <vector>

namespace onepass::bench {

struct Layout {
  std::string name;                   ///< "flat", "resnet50", ...
  std::vector<std::int64_t> tensors;  ///< Number of elements of each tensor.

  [[nodiscard]] std::int64_t parameters() const;
};

/// One tensor.
Layout flat(std::int64_t parameters);
/// `count` tensors of `each` elements: "2000x1000".
Layout many(std::int64_t count, std::int64_t each);
/// torchvision's ResNet-50 with 1,000 classes: 161 tensors, 25,557,032 parameters.
Layout resnet50();
/// GPT-2 with 124M parameters, its output tied to its input embedding: 148 tensors, 124,439,808 parameters.
Layout gpt2();
/// Decoder layers of Llama 3 8B: 9 tensors and 218,112,000 parameters each. The model has 32 layers.
Layout llama8b(std::int64_t layers);
inline constexpr std::int64_t kLlamaLayers = 32;
inline constexpr std::int64_t kLlamaLayerParameters = 218112000;

}  // namespace onepass::bench
