// fatbin.cpp - walks the fat binary container. NVIDIA does not document its layout; these are the fields in
// the containers of nvcc 13.
#include "ptx/fatbin.hpp"

#include <dlfcn.h>

#include <cstdint>
#include <cstring>
#include <string_view>

#include "ptx/types.hpp"

namespace cuda_emulator {
namespace {

struct Container {
  std::uint32_t magic;
  std::uint16_t version;
  std::uint16_t header_bytes;
  std::uint64_t payload_bytes;
};
constexpr std::uint32_t kContainerMagic = 0xba55ed50;

struct Entry {
  std::uint16_t kind;
  std::uint16_t version;
  std::uint32_t header_bytes;
  std::uint64_t payload_bytes;
  std::uint32_t compressed_bytes;
  std::uint32_t unknown;
  std::uint16_t minor;
  std::uint16_t major;
  std::uint32_t architecture;
  std::uint32_t more[6];
  std::uint64_t plain_bytes;  ///< Size of a compressed payload after decompression.
};
constexpr std::uint16_t kPtxKind = 1;

template <class T>
T read(const char* from) {
  T value;
  std::memcpy(&value, from, sizeof value);
  return value;
}

/// Decompresses a payload with the system's zstd library, if it is installed. nvcc compresses with zstd by
/// default, so binaries then need no special flag; the emulator does not depend on zstd. Returns an empty
/// text on failure.
std::string decompress(std::string_view payload, std::uint64_t plain_bytes) {
  using Decompress = std::size_t (*)(void*, std::size_t, const void*, std::size_t);
  static void* const library = dlopen("libzstd.so.1", RTLD_NOW | RTLD_LOCAL);
  if (library == nullptr) return {};
  const auto zstd = reinterpret_cast<Decompress>(dlsym(library, "ZSTD_decompress"));
  std::string plain(plain_bytes, '\0');
  if (zstd == nullptr || zstd(plain.data(), plain.size(), payload.data(), payload.size()) != plain_bytes)
    return {};
  return plain;
}

std::string text_of(const Entry& entry, std::string_view payload) {
  if (entry.compressed_bytes == 0) return std::string(payload.substr(0, payload.find('\0')));
  std::string plain = decompress(payload.substr(0, entry.compressed_bytes), entry.plain_bytes);
  return plain.substr(0, plain.find('\0'));
}

}  // namespace

std::string ptx_from_fatbin(const void* fatbin, unsigned compute_capability) {
  const char* cursor = static_cast<const char*>(fatbin);
  const auto container = read<Container>(cursor);
  if (container.magic != kContainerMagic) throw PtxError("not a fat binary");
  cursor += container.header_bytes;
  const char* const end = cursor + container.payload_bytes;
  std::string best;
  unsigned best_architecture = 0;
  while (cursor < end) {
    const auto entry = read<Entry>(cursor);
    const std::string_view payload(cursor + entry.header_bytes, entry.payload_bytes);
    const bool newer = entry.architecture > best_architecture && entry.architecture <= compute_capability;
    if (entry.kind == kPtxKind && newer) {
      best = text_of(entry, payload);
      best_architecture = entry.architecture;
    }
    cursor += entry.header_bytes + entry.payload_bytes;
  }
  if (best.find(".version") == std::string::npos) {
    throw PtxError(
        "the binary holds no PTX that can be read: compile with -gencode arch=compute_80,code=compute_80 "
        "and, "
        "where there is no libzstd.so.1, --compress-mode=none");
  }
  return best;
}

}  // namespace cuda_emulator
