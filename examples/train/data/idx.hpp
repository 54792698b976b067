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

/// Decodes an IDX file: two zero bytes, the type (only 0x08, unsigned byte, is supported), the number of
/// dimensions, each dimension as four bytes in big-endian order, and the values.
/// Throws a Failure that names `name` if the header is invalid or does not match the size of the file.
IdxArray parse_idx(std::span<const std::uint8_t> file, const std::string& name);

/// Reads a file, gzipped or plain, and decodes it. Throws Failure.
IdxArray read_idx(const std::filesystem::path& path);

}  // namespace train
