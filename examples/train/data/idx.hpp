// idx.hpp - the file format of MNIST and its relatives.
#pragma once

#include <cstdint>
#include <filesystem>
#include <span>
#include <string>
#include <vector>

namespace train {

/// An array of unsigned bytes; the last dimension varies fastest.
struct IdxArray {
  std::vector<std::uint32_t> shape;
  std::vector<std::uint8_t> values;
};

/// Decodes an IDX file: two zero bytes, the type (0x08, unsigned byte, is the only one known here), the
/// number of dimensions, each dimension as four bytes, the largest first, and the values.
/// Throws Failure, naming `name`, if the header is another or the file is too short or too long for it.
IdxArray parse_idx(std::span<const std::uint8_t> file, const std::string& name);

/// Reads a file, gzipped or plain, and decodes it. Throws Failure.
IdxArray read_idx(const std::filesystem::path& path);

}  // namespace train
