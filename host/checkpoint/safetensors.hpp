// safetensors.hpp - a file of named tensors with a checksum: written in one pass, and read piece by piece.
//
//     8 bytes    length of the header, little-endian
//     header     JSON, padded with spaces so that the data begins at a multiple of 8
//     data       the tensors, without gaps
//
// The header begins with the checksum, so its 16 digits are at kDigitsAt. It is the XXH3 of the whole file
// with zeros ('0') in place of the digits.
#pragma once

#include <cstdint>
#include <map>
#include <span>
#include <string>
#include <string_view>
#include <unordered_map>
#include <vector>

#include "host/checkpoint/files.hpp"
#include "onepass/checkpoint.hpp"
#include "onepass/device.hpp"
#include "onepass/stream.hpp"

namespace onepass::checkpoint {

inline constexpr const char* kMetadata = "__metadata__";  ///< Key of the metadata, and of no tensor.
inline constexpr const char* kChecksum = "xxh3";          ///< Its name in the metadata.
inline constexpr std::string_view kHeaderStart = R"({"__metadata__":{"xxh3":")";
inline constexpr std::size_t kDigitsAt = 8 + kHeaderStart.size();
inline constexpr std::string_view kZeroDigits = "0000000000000000";
/// Readers of safetensors refuse longer headers.
inline constexpr std::uint64_t kLongestHeader = 100'000'000;

/// The type of a tensor's elements in a file.
enum class Kind : std::uint8_t { f32, bf16, f16, i16, i8, u8 };

[[nodiscard]] std::size_t size_of(Kind kind);
/// "BF16"
[[nodiscard]] const char* to_string(Kind kind);

/// A tensor with one dimension.
struct NamedTensor {
  std::string key;
  Kind kind;
  std::int64_t numel;

  [[nodiscard]] std::uint64_t bytes() const { return static_cast<std::uint64_t>(numel) * size_of(kind); }
};

/// A tensor and the memory that has its elements.
struct SourceTensor {
  NamedTensor tensor;
  ConstLocation from;
};

/// Text by name, in addition to the checksum.
using Metadata = std::map<std::string, std::string>;

/// Writes a file with these tensors, whose keys must differ. Throws InvalidArgument if a text is no UTF-8 or
/// the header would be too long, and FileError. Waits for `stream` if memory is on a GPU.
void write_tensors(const std::filesystem::path& path, std::vector<SourceTensor> tensors,
                   const Metadata& metadata, Stream stream);

/// A file whose checksum and header were checked.
class TensorFile {
 public:
  /// Throws InvalidArgument unless write_tensors() could have written the file, and FileError if it cannot be
  /// read.
  explicit TensorFile(const std::filesystem::path& path);

  [[nodiscard]] const std::filesystem::path& path() const { return file_.path(); }
  [[nodiscard]] const Metadata& metadata() const { return metadata_; }
  [[nodiscard]] std::size_t size() const { return tensors_.size(); }
  /// Returns the tensor of this key. Throws InvalidArgument if there is none.
  [[nodiscard]] const NamedTensor& find(const std::string& key) const;
  /// Fills `bytes` with the elements of a tensor from number `first` on. Throws FileError.
  void read(const std::string& key, std::int64_t first, std::span<std::byte> bytes) const;

 private:
  struct Placed {
    NamedTensor tensor;
    std::uint64_t begin;  ///< Offset in the data.
    std::uint64_t end;
  };

  [[nodiscard]] const Placed& placed(const std::string& key) const;
  /// Reads the header, and checks the checksum of the whole file.
  [[nodiscard]] std::string checked_header();
  void parse_header(const std::string& header);
  void check_ranges() const;

  InputFile file_;
  std::uint64_t data_at_ = 0;
  Metadata metadata_;
  std::unordered_map<std::string, Placed> tensors_;
};

}  // namespace onepass::checkpoint
