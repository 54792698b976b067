// dataset.cpp - reads Fashion-MNIST, or any data set in the same four files.
#include "data/dataset.hpp"

#include <fmt/format.h>

#include <algorithm>
#include <array>
#include <cmath>

#include "data/idx.hpp"
#include "errors.hpp"

namespace train {
namespace {

std::filesystem::path find(const std::filesystem::path& folder, const char* stem) {
  for (const char* suffix : {".gz", ""}) {
    const std::filesystem::path path = folder / fmt::format("{}{}", stem, suffix);
    if (std::filesystem::is_regular_file(path)) return path;
  }
  throw Failure(fmt::format(
      "there is no {}.gz in {}: install the data with 'apt-get install dataset-fashion-mnist', or pass the "
      "folder that holds it with --data",
      stem, folder.string()));
}

Images load_images(const std::filesystem::path& images_path, const std::filesystem::path& labels_path) {
  IdxArray pixels = read_idx(images_path);
  IdxArray labels = read_idx(labels_path);
  if (pixels.shape.size() != 3 || pixels.values.empty()) {
    throw Failure(fmt::format("{} should hold images in three dimensions, and at least one pixel",
                              images_path.string()));
  }
  if (labels.shape.size() != 1) {
    throw Failure(fmt::format("{} should hold labels in one dimension", labels_path.string()));
  }
  if (pixels.shape[0] != labels.shape[0]) {
    throw Failure(fmt::format("{} holds {} images, but {} holds {} labels", images_path.string(),
                              pixels.shape[0], labels_path.string(), labels.shape[0]));
  }
  const std::uint8_t largest = *std::max_element(labels.values.begin(), labels.values.end());
  if (largest >= kClasses) {
    throw Failure(fmt::format("{} holds the label {}; labels go from 0 to {}", labels_path.string(), largest,
                              kClasses - 1));
  }
  return {.pixels = std::move(pixels.values),
          .labels = std::move(labels.values),
          .count = pixels.shape[0],
          .size = std::int64_t{pixels.shape[1]} * pixels.shape[2]};
}

}  // namespace

Normalisation normalise(const Images& images) {
  // Counting the 256 pixel values first gives the same sums whatever the order of the images.
  std::array<std::int64_t, 256> times{};
  for (const std::uint8_t pixel : images.pixels) ++times[pixel];
  double sum = 0.0;
  double sum_of_squares = 0.0;
  for (std::size_t value = 0; value < times.size(); ++value) {
    const double share = static_cast<double>(times[value]) / static_cast<double>(images.pixels.size());
    sum += share * static_cast<double>(value);
    sum_of_squares += share * static_cast<double>(value * value);
  }
  const double deviation = std::sqrt(std::max(sum_of_squares - sum * sum, 0.0));
  const double scale = deviation > 0.0 ? 1.0 / deviation : 1.0;
  return {.scale = static_cast<float>(scale), .shift = static_cast<float>(-sum * scale)};
}

Dataset load_dataset(const std::filesystem::path& folder) {
  Dataset dataset;
  dataset.training =
      load_images(find(folder, "train-images-idx3-ubyte"), find(folder, "train-labels-idx1-ubyte"));
  dataset.test = load_images(find(folder, "t10k-images-idx3-ubyte"), find(folder, "t10k-labels-idx1-ubyte"));
  if (dataset.training.size != dataset.test.size) {
    throw Failure(fmt::format("the training images in {} have {} pixels each, but the test images have {}",
                              folder.string(), dataset.training.size, dataset.test.size));
  }
  dataset.normalisation = normalise(dataset.training);
  return dataset;
}

}  // namespace train
