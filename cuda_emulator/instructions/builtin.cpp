// builtin.cpp - functions of the CUDA driver that have no PTX body: printf and assert.
#include <cstdio>
#include <optional>

#include "decode/selection.hpp"
#include "machine/access.hpp"

namespace cuda_emulator {
namespace {

template <class T>
T argument(const Lane& lane, const Place& place) {
  T value{};
  std::memcpy(&value, lane.frame.bytes + place.offset, sizeof value);
  return value;
}

std::string read_string(const Instruction& i, Lane& lane, std::uint64_t address) {
  std::string text;
  for (;; ++address) {
    const char* c = access<1, AccessKind::read, Space::generic>(i, lane, address);
    if (c == nullptr || *c == '\0') return text;
    text += *c;
  }
}

/// Reads the next argument of printf. An int takes 4 bytes, every other type 8, aligned to its size.
template <class T>
T next_argument(const Instruction& i, Lane& lane, std::uint64_t& cursor) {
  cursor = (cursor + sizeof(T) - 1) / sizeof(T) * sizeof(T);
  const char* from = access<sizeof(T), AccessKind::read, Space::generic>(i, lane, cursor);
  cursor += sizeof(T);
  T value{};
  if (from != nullptr) std::memcpy(&value, from, sizeof value);
  return value;
}

template <class T>
void append(std::string& out, const std::string& format, T value) {
  char text[512];
  std::snprintf(text, sizeof text, format.c_str(), value);
  out += text;
}

void append_conversion(const Instruction& i, Lane& lane, std::string& out, const std::string& format,
                       std::uint64_t& cursor) {
  const char kind = format.back();
  const bool is_long = format.find('l') != std::string::npos || format.find('z') != std::string::npos;
  if (kind == 's') {
    append(out, format, read_string(i, lane, next_argument<std::uint64_t>(i, lane, cursor)).c_str());
  } else if (kind == 'p') {
    append(out, format, reinterpret_cast<void*>(next_argument<std::uint64_t>(i, lane, cursor)));
  } else if (std::string_view("eEfFgGaA").find(kind) != std::string_view::npos) {
    append(out, format, next_argument<double>(i, lane, cursor));
  } else if (is_long) {
    append(out, format, next_argument<std::int64_t>(i, lane, cursor));
  } else {
    append(out, format, next_argument<std::int32_t>(i, lane, cursor));
  }
}

bool run_printf(const Instruction& i, Lane& lane) {
  const Call& call = lane.program->calls[i.target];
  const std::string format = read_string(i, lane, argument<std::uint64_t>(lane, call.arguments[0]));
  std::uint64_t cursor = argument<std::uint64_t>(lane, call.arguments[1]);
  std::string out;
  for (std::size_t k = 0; k < format.size(); ++k) {
    if (format[k] != '%' || format.substr(k, 2) == "%%") {
      out += format[k];
      if (format[k] == '%') ++k;
      continue;
    }
    const std::size_t end = format.find_first_of("diouxXcspeEfFgGaA", k + 1);
    if (end == std::string::npos) break;
    append_conversion(i, lane, out, format.substr(k, end - k + 1), cursor);
    k = end;
  }
  std::fputs(out.c_str(), stdout);
  return true;
}

bool run_assert(const Instruction& i, Lane& lane) {
  const Call& call = lane.program->calls[i.target];
  const std::string message = read_string(i, lane, argument<std::uint64_t>(lane, call.arguments[0]));
  lane.block->report(Fault::trap, lane, i, "assertion failed: " + message);
  lane.state = LaneState::done;
  return false;
}

}  // namespace

Handler builtin_handler(std::string_view name) {
  if (name == "vprintf") return run_printf;
  if (name == "__assertfail") return run_assert;
  return nullptr;
}

}  // namespace cuda_emulator
