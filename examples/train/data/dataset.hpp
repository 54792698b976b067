// dataset.hpp - labelled images in the host's memory.
#pragma once

#include <cstdint>
#include <filesystem>
#include <vector>

namespace train {

inline constexpr std::int64_t kClasses = 10;

/// `count` images of `size` pixels, one after the other, and the class of each.
struct Images {
  std::vector<std::uint8_t> pixels;
  std::vector<std::uint8_t> labels;  ///< Each below kClasses.
  std::int64_t count = 0;
  std::int64_t size = 0;
};

/// A linear map: scale * pixel + shift has mean 0 and variance 1 over the images that it was computed from.
struct Normalisation {
  float scale = 1.0f;
  float shift = 0.0f;
};

struct Dataset {
  Images training;
  Images test;
  Normalisation normalisation;  ///< Computed from the training images.
};

/// The folder of the Debian package dataset-fashion-mnist.
inline constexpr const char* kDefaultData = "/usr/share/datasets/fashion-mnist";

/// Reads {train,t10k}-{images-idx3,labels-idx1}-ubyte from `folder`, each with or without ".gz".
/// Throws Failure if a file is missing, damaged, or does not fit the others.
Dataset load_dataset(const std::filesystem::path& folder);

/// Returns the normalisation of images. If all pixels are equal, only their mean is subtracted.
Normalisation normalise(const Images& images);

}  // namespace train
