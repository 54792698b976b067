// layouts.cpp - builds the lists of tensor sizes.
#include "bench/cases/layouts.hpp"

#include <numeric>

namespace onepass::bench {
namespace {

using Sizes = std::vector<std::int64_t>;

void add(Sizes& sizes, std::initializer_list<std::int64_t> more) { sizes.insert(sizes.end(), more); }

/// Adds a convolution without bias and the batch normalisation that follows it.
void add_convolution(Sizes& sizes, std::int64_t in, std::int64_t out, std::int64_t kernel) {
  add(sizes, {out * in * kernel * kernel, out, out});
}

/// Adds a stage of bottlenecks of one width: 1 x 1, 3 x 3, 1 x 1 to four times the width. The first
/// bottleneck also has a projection. Returns the number of output channels.
std::int64_t add_stage(Sizes& sizes, std::int64_t in, std::int64_t width, int bottlenecks) {
  for (int bottleneck = 0; bottleneck < bottlenecks; ++bottleneck) {
    add_convolution(sizes, in, width, 1);
    add_convolution(sizes, width, width, 3);
    add_convolution(sizes, width, 4 * width, 1);
    if (bottleneck == 0) add_convolution(sizes, in, 4 * width, 1);
    in = 4 * width;
  }
  return in;
}

}  // namespace

std::int64_t Layout::parameters() const {
  return std::accumulate(tensors.begin(), tensors.end(), std::int64_t{0});
}

Layout flat(std::int64_t parameters) { return {"flat", {parameters}}; }

Layout many(std::int64_t count, std::int64_t each) {
  return {std::to_string(count) + "x" + std::to_string(each), Sizes(static_cast<std::size_t>(count), each)};
}

Layout resnet50() {
  Sizes sizes;
  add_convolution(sizes, 3, 64, 7);
  std::int64_t channels = add_stage(sizes, 64, 64, 3);
  channels = add_stage(sizes, channels, 128, 4);
  channels = add_stage(sizes, channels, 256, 6);
  channels = add_stage(sizes, channels, 512, 3);
  add(sizes, {channels * 1000, 1000});
  return {"resnet50", sizes};
}

Layout gpt2() {
  constexpr std::int64_t kWidth = 768, kVocabulary = 50257, kContext = 1024;
  Sizes sizes{kVocabulary * kWidth, kContext * kWidth};
  for (int layer = 0; layer < 12; ++layer) {
    add(sizes,
        {kWidth, kWidth, 3 * kWidth * kWidth, 3 * kWidth, kWidth * kWidth, kWidth});  // norm, attention
    add(sizes, {kWidth, kWidth, 4 * kWidth * kWidth, 4 * kWidth, 4 * kWidth * kWidth, kWidth});  // norm, MLP
  }
  add(sizes, {kWidth, kWidth});
  return {"gpt2", sizes};
}

Layout llama8b(std::int64_t layers) {
  constexpr std::int64_t kWidth = 4096, kKeys = 1024, kHidden = 14336;
  Sizes sizes;
  for (std::int64_t layer = 0; layer < layers; ++layer) {
    add(sizes, {kWidth * kWidth, kKeys * kWidth, kKeys * kWidth, kWidth * kWidth});
    add(sizes, {kHidden * kWidth, kHidden * kWidth, kWidth * kHidden, kWidth, kWidth});
  }
  return {"llama8b_" + std::to_string(layers) + (layers == 1 ? "layer" : "layers"), sizes};
}

}  // namespace onepass::bench
