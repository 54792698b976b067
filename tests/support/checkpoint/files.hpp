// files.hpp - a folder for checkpoints, and their bytes, for tests that read and damage them.
#pragma once

#include <gtest/gtest.h>

#define XXH_INLINE_ALL
#include <xxhash.h>

#include <cstdint>
#include <cstdio>
#include <cstdlib>
#include <cstring>
#include <filesystem>
#include <fstream>
#include <iterator>
#include <string>
#include <string_view>
#include <vector>

#include "onepass/onepass.hpp"

namespace onepass::test {

/// A temporary folder that the destructor removes.
class Folder {
 public:
  Folder() {
    std::string name = (std::filesystem::temp_directory_path() / "onepass-checkpoint-XXXXXX").string();
    if (mkdtemp(name.data()) == nullptr) throw std::runtime_error("no folder for temporary files");
    path_ = name;
  }
  Folder(const Folder&) = delete;
  Folder& operator=(const Folder&) = delete;
  ~Folder() {
    std::error_code ignored;
    std::filesystem::remove_all(path_, ignored);
  }

  [[nodiscard]] const std::filesystem::path& path() const { return path_; }
  [[nodiscard]] std::filesystem::path operator/(const std::string& name) const { return path_ / name; }
  /// The names of all files in it, each followed by a space.
  [[nodiscard]] std::string names() const {
    std::string names;
    for (const auto& entry : std::filesystem::directory_iterator(path_)) {
      names += entry.path().filename().string() + " ";
    }
    return names;
  }

 private:
  std::filesystem::path path_;
};

inline std::string bytes_of(const std::filesystem::path& path) {
  std::ifstream file(path, std::ios::binary);
  return {std::istreambuf_iterator<char>(file), {}};
}

inline void write_bytes(const std::filesystem::path& path, std::string_view bytes) {
  std::ofstream(path, std::ios::binary | std::ios::trunc)
      .write(bytes.data(), static_cast<std::streamsize>(bytes.size()));
}

/// Where docs/checkpoints.md says that the digits of the checksum are.
constexpr std::size_t kDigitsAt = 33, kDigits = 16;

/// The checksum of a file as docs/checkpoints.md defines it, computed from its bytes alone.
inline std::string checksum_of(std::string bytes) {
  bytes.replace(kDigitsAt, kDigits, std::string(kDigits, '0'));
  char digits[kDigits + 1];
  std::snprintf(digits, sizeof digits, "%016llx",
                static_cast<unsigned long long>(XXH3_64bits(bytes.data(), bytes.size())));
  return digits;
}

/// Returns the JSON of a file's header.
inline std::string header_of(const std::string& bytes) {
  std::uint64_t length = 0;
  std::memcpy(&length, bytes.data(), sizeof length);
  return bytes.substr(8, static_cast<std::size_t>(length));
}

/// Returns a file with this header, this data, and a checksum that fits them.
inline std::string file_of(std::string header, std::string_view data) {
  header.append((8 - header.size() % 8) % 8, ' ');
  const std::uint64_t length = header.size();
  std::string bytes(8, '\0');
  std::memcpy(bytes.data(), &length, sizeof length);
  bytes.append(header).append(data);
  if (bytes.size() >= kDigitsAt + kDigits) bytes.replace(kDigitsAt, kDigits, checksum_of(bytes));
  return bytes;
}

/// Expects that two state dicts hold the same.
inline testing::AssertionResult equal_dicts(const StateDict& a, const StateDict& b) {
  const auto differ = [](const char* what) { return testing::AssertionFailure() << what << " differ"; };
  if (a.groups != b.groups) return differ("hyperparameters");
  if (a.schedules != b.schedules) return differ("schedules");
  if (a.steps != b.steps || a.skipped_steps != b.skipped_steps) return differ("step counts");
  if (a.micro_batches != b.micro_batches || a.accumulated_weight != b.accumulated_weight ||
      a.window_scale != b.window_scale || a.dropped_micro_batches != b.dropped_micro_batches ||
      a.dropped_since_step != b.dropped_since_step) {
    return differ("micro-batches");
  }
  if (a.loss_scale != b.loss_scale || a.growth_tracker != b.growth_tracker) return differ("loss scales");
  if (a.seed != b.seed) return differ("seeds");
  if (a.parameters.size() != b.parameters.size()) return differ("numbers of parameters");
  for (std::size_t p = 0; p < a.parameters.size(); ++p) {
    const SavedParameter &one = a.parameters[p], &other = b.parameters[p];
    if (one.name != other.name || one.step != other.step || one.accumulated != other.accumulated ||
        one.gradient_sum != other.gradient_sum || one.states.size() != other.states.size()) {
      return testing::AssertionFailure() << one.name << " differs";
    }
    for (std::size_t s = 0; s < one.states.size(); ++s) {
      if (one.states[s].name != other.states[s].name || one.states[s].dtype != other.states[s].dtype ||
          one.states[s].bytes != other.states[s].bytes) {
        return testing::AssertionFailure() << one.states[s].name << " of " << one.name << " differs";
      }
    }
  }
  return testing::AssertionSuccess();
}

}  // namespace onepass::test
