// support.hpp - made-up images, temporary folders and error messages.
#pragma once

#include <gtest/gtest.h>
#include <unistd.h>

#include <filesystem>
#include <string>
#include <utility>
#include <vector>

#include "data/dataset.hpp"
#include "data/random.hpp"
#include "errors.hpp"

namespace train::testing {

/// Returns the message of the Error that `call` throws. Fails the test if it throws nothing or another
/// exception.
template <class Error, class Call>
std::string sentence(Call&& call) {
  try {
    std::forward<Call>(call)();
  } catch (const Error& error) {
    return error.what();
  } catch (const std::exception& error) {
    ADD_FAILURE() << "another exception: " << error.what();
    return {};
  }
  ADD_FAILURE() << "nothing was thrown";
  return {};
}

/// Returns a number uniform in [0, 1).
inline double uniform(Random& random) { return static_cast<double>(random.below(1u << 24)) * 0x1p-24; }

/// Makes images of `size` >= kClasses pixels. The position of a bright pixel among dim noise gives the class.
inline Images made_up_images(std::int64_t count, std::int64_t size, std::uint64_t seed) {
  Random random(seed, 0);
  Images images{.pixels = {}, .labels = {}, .count = count, .size = size};
  for (std::int64_t i = 0; i < count; ++i) {
    images.labels.push_back(static_cast<std::uint8_t>(random.below(kClasses)));
    for (std::int64_t pixel = 0; pixel < size; ++pixel) {
      images.pixels.push_back(
          static_cast<std::uint8_t>(pixel == images.labels.back() ? 255 : random.below(160)));
    }
  }
  return images;
}

inline Dataset made_up_dataset(std::int64_t training, std::int64_t test, std::int64_t size = 16) {
  Dataset dataset;
  dataset.training = made_up_images(training, size, 1);
  dataset.test = made_up_images(test, size, 2);
  dataset.normalisation = normalise(dataset.training);
  return dataset;
}

/// A temporary folder that the destructor removes.
class Folder {
 public:
  Folder() {
    std::string name = (std::filesystem::temp_directory_path() / "onepass-train-XXXXXX").string();
    if (mkdtemp(name.data()) == nullptr) throw Failure("no folder for temporary files");
    path_ = name;
  }
  Folder(const Folder&) = delete;
  Folder& operator=(const Folder&) = delete;
  ~Folder() {
    std::error_code ignored;
    std::filesystem::remove_all(path_, ignored);
  }

  [[nodiscard]] std::filesystem::path operator/(const char* name) const { return path_ / name; }

 private:
  std::filesystem::path path_;
};

}  // namespace train::testing
