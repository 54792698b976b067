// snippet.hpp - runs a few lines of PTX and returns their results.
#pragma once

#include <bit>
#include <cstdint>
#include <string>
#include <vector>

#include "decode/image.hpp"
#include "machine/launch.hpp"

namespace cuda_emulator {

/// A device with one kernel, given as text.
class Snippet {
 public:
  /// `body` is the inside of `.entry kernel(.param .u64 in, .param .u64 out)`.
  explicit Snippet(const std::string& body, const std::string& before = {})
      : image_(".version 9.0\n.target sm_80\n.address_size 64\n.file 1 \"snippet.cu\"\n" + before +
                   "\n.visible .entry kernel(.param .u64 in, .param .u64 out) {\n" + body + "\nret;\n}\n",
               memory_) {}

  /// Launches `blocks` blocks of `threads` threads on `in`; returns `count` words of `out`.
  std::vector<std::uint64_t> run(const std::vector<std::uint64_t>& in, std::size_t count,
                                 std::uint32_t threads = 1, std::uint32_t blocks = 1) {
    Allocation& input = allocate(in.size());
    Allocation& output = allocate(count);
    std::memcpy(input.region.bytes, in.data(), in.size() * 8);
    std::memset(input.region.state, kWritten, input.bytes);
    launch_.program = &image_.program("kernel");
    launch_.grid = {blocks, 1, 1};
    launch_.block = {threads, 1, 1};
    launch_.parameters.resize(16);
    std::memcpy(launch_.parameters.data(), &input.base, 8);
    std::memcpy(launch_.parameters.data() + 8, &output.base, 8);
    launch_.memory = &memory_;
    cuda_emulator::run(launch_);
    launch_.first_block += blocks;
    std::vector<std::uint64_t> out(count);
    std::memcpy(out.data(), output.region.bytes, count * 8);
    return out;
  }

  Launch& launch() { return launch_; }

 private:
  Allocation& allocate(std::size_t words) {
    Allocation* allocation = memory_.reserve(8 * words + 8, AllocationKind::device, "snippet");
    memory_.make_live(*allocation);
    return *allocation;
  }

  DeviceMemory memory_;
  Image image_;
  Launch launch_;
};

/// Returns the value of %d after `code`, with %a, %b, %c, %e set to the given bits. Registers have no width
/// in the emulator, so the same names serve all types. %p and %q are predicates, %x and %y are free.
inline std::uint64_t evaluate(const std::string& code, const std::vector<std::uint64_t>& operands) {
  std::string body =
      ".reg .pred %p, %q;\n.reg .b64 %in, %out, %a, %b, %c, %e, %d, %x, %y;\n"
      "ld.param.u64 %in, [in];\nld.param.u64 %out, [out];\nmov.u64 %d, 0;\n";
  const char* const names[] = {"%a", "%b", "%c", "%e"};
  for (std::size_t k = 0; k < operands.size(); ++k) {
    body += "ld.global.u64 " + std::string(names[k]) + ", [%in+" + std::to_string(8 * k) + "];\n";
  }
  Snippet snippet(body + code + "\nst.global.u64 [%out], %d;\n");
  return snippet.run(operands, 1).front();
}

/// Returns the low 32 bits of evaluate().
inline std::uint32_t evaluate32(const std::string& code, const std::vector<std::uint64_t>& operands) {
  return static_cast<std::uint32_t>(evaluate(code, operands));
}

inline std::uint64_t bits(float x) { return std::bit_cast<std::uint32_t>(x); }
inline std::uint64_t bits(double x) { return std::bit_cast<std::uint64_t>(x); }

}  // namespace cuda_emulator
