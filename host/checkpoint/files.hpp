// files.hpp - files of the operating system: one that is read, and one that appears as a whole.
#pragma once

#include <cstddef>
#include <cstdint>
#include <filesystem>
#include <span>

namespace onepass::checkpoint {

/// An open file, which is closed at the end. Move-only.
class Descriptor {
 public:
  explicit Descriptor(int number) : number_(number) {}
  ~Descriptor();
  Descriptor(Descriptor&& other) noexcept;
  Descriptor& operator=(Descriptor&&) = delete;

  [[nodiscard]] int number() const { return number_; }
  /// Closes it. Returns false, with errno, if that fails.
  [[nodiscard]] bool close();

 private:
  int number_;
};

/// A regular file, open for reading.
class InputFile {
 public:
  /// Throws FileError if it cannot be opened or is no regular file.
  explicit InputFile(std::filesystem::path path);

  [[nodiscard]] const std::filesystem::path& path() const { return path_; }
  [[nodiscard]] std::uint64_t size() const { return size_; }
  /// Fills `bytes` from an offset on. Throws FileError if it cannot, or the file ends before.
  void read(std::uint64_t offset, std::span<std::byte> bytes) const;

 private:
  std::filesystem::path path_;
  Descriptor file_;
  std::uint64_t size_ = 0;
};

/// A file that is written under another name beside `path`, and takes its place in commit(). Without a
/// commit() nothing is left of it.
class OutputFile {
 public:
  /// All functions throw FileError.
  explicit OutputFile(std::filesystem::path path);
  ~OutputFile();
  OutputFile(const OutputFile&) = delete;
  OutputFile& operator=(const OutputFile&) = delete;

  void append(std::span<const std::byte> bytes);
  void overwrite(std::uint64_t offset, std::span<const std::byte> bytes);
  /// Flushes the file to the disk, renames it to `path`, and flushes the folder.
  void commit();

 private:
  [[noreturn]] void fail(const char* what) const;
  void write(std::uint64_t offset, std::span<const std::byte> bytes);

  std::filesystem::path path_, aside_;
  Descriptor file_;
  std::uint64_t size_ = 0;
  bool is_committed_ = false;
};

}  // namespace onepass::checkpoint
