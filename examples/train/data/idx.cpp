// idx.cpp - reads IDX files with zlib.
#include "data/idx.hpp"

#include <fmt/format.h>
#include <zlib.h>

#include <cerrno>
#include <cstring>
#include <memory>

#include "errors.hpp"

namespace train {
namespace {

constexpr std::size_t kFixedHeader = 4;
constexpr std::uint8_t kUnsignedByte = 0x08;
constexpr std::uint64_t kMostBytes = std::uint64_t{1} << 31;  // far more than any data set of this kind

std::uint32_t big_endian(const std::uint8_t* bytes) {
  return std::uint32_t{bytes[0]} << 24 | std::uint32_t{bytes[1]} << 16 | std::uint32_t{bytes[2]} << 8 |
         bytes[3];
}

struct CloseGz {
  void operator()(gzFile file) const { gzclose(file); }
};
using GzFile = std::unique_ptr<gzFile_s, CloseGz>;

/// Reads a gzipped or a plain file: gzopen reads uncompressed files unchanged.
std::vector<std::uint8_t> read_all(const std::filesystem::path& path) {
  errno = 0;
  GzFile file{gzopen(path.c_str(), "rb")};
  if (!file) throw Failure(fmt::format("{} cannot be opened: {}", path.string(), std::strerror(errno)));

  std::vector<std::uint8_t> bytes;
  std::vector<std::uint8_t> buffer(1 << 20);
  int got = 0;
  while ((got = gzread(file.get(), buffer.data(), static_cast<unsigned>(buffer.size()))) > 0) {
    bytes.insert(bytes.end(), buffer.begin(), buffer.begin() + got);
    if (bytes.size() > kMostBytes) throw Failure(fmt::format("{} is larger than 2 GiB", path.string()));
  }
  // A compressed file that is cut off reads like a short file; only the error code distinguishes them.
  int code = Z_OK;
  const char* reason = gzerror(file.get(), &code);
  if (got < 0 || code != Z_OK) {
    throw Failure(fmt::format("{} cannot be read: {}", path.string(),
                              code == Z_BUF_ERROR ? "the compressed file is cut off" : reason));
  }
  return bytes;
}

}  // namespace

IdxArray parse_idx(std::span<const std::uint8_t> file, const std::string& name) {
  if (file.size() < kFixedHeader || file[0] != 0 || file[1] != 0) {
    throw Failure(
        fmt::format("{} is not an IDX file: it does not start with two zero bytes and a type", name));
  }
  if (file[2] != kUnsignedByte) {
    throw Failure(fmt::format(
        "{} holds values of IDX type 0x{:02x}, but only 0x08, unsigned bytes, can be read", name, file[2]));
  }
  const std::size_t dimensions = file[3];
  const std::size_t header = kFixedHeader + 4 * dimensions;
  if (dimensions == 0 || file.size() < header) {
    throw Failure(fmt::format("{} is cut off: its header of {} dimensions needs {} bytes, but it has {}",
                              name, dimensions, header, file.size()));
  }
  IdxArray array;
  std::uint64_t wanted = 1;
  for (std::size_t i = 0; i < dimensions; ++i) {
    array.shape.push_back(big_endian(file.data() + kFixedHeader + 4 * i));
    if (array.shape.back() != 0 && wanted > kMostBytes / array.shape.back()) {
      throw Failure(fmt::format("{} announces more than 2 GiB of values", name));
    }
    wanted *= array.shape.back();
  }
  if (file.size() - header != wanted) {
    throw Failure(fmt::format("{} should hold {} values after its header, but holds {}", name, wanted,
                              file.size() - header));
  }
  array.values.assign(file.begin() + static_cast<std::ptrdiff_t>(header), file.end());
  return array;
}

IdxArray read_idx(const std::filesystem::path& path) { return parse_idx(read_all(path), path.string()); }

}  // namespace train
