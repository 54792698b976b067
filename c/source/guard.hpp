// guard.hpp - how functions of the C interface begin: no exception leaves them, and no bad pointer enters.
#pragma once

#include <cstdint>
#include <cstring>
#include <span>
#include <string>
#include <string_view>
#include <type_traits>

#include "c/onepass.h"
#include "onepass/error.hpp"
#include "onepass/stream.hpp"

namespace onepass::c {

/// Stores the message of the exception that is being handled for onepass_last_error(), and returns its
/// status.
int failed() noexcept;

/// Runs `work` and returns a status code.
template <class Work>
int guarded(const Work& work) noexcept {
  try {
    work();
    return ONEPASS_OK;
  } catch (...) {
    return failed();
  }
}

/// Throws InvalidArgument: "onepass: threads is -1; it must be 0 or more".
[[noreturn]] void refuse(std::string_view what, std::int64_t value, std::string_view allowed);
/// Throws InvalidArgument: "onepass: " and the sentence.
[[noreturn]] void refuse(std::string_view sentence);

/// Throws if a pointer of the caller's is null.
inline void require(const void* pointer, const char* name) {
  if (pointer == nullptr) refuse(std::string(name).append(" is null"));
}

/// Throws unless a number of the caller's is 0 or more.
inline void require_count(std::int64_t value, const char* name) {
  if (value < 0) refuse(name, value, "0 or more");
}

/// Makes a span of an array of the caller's. Throws if its length is negative, or it is null and not empty.
template <class T>
std::span<T> array_of(T* first, const char* name, std::int64_t count, const char* count_name) {
  require_count(count, count_name);
  if (count > 0) require(first, name);
  return {first, static_cast<std::size_t>(count)};
}

/// Returns the element of a list by the caller's index.
template <class List>
auto& at(List& list, const char* what, std::int64_t index) {
  const auto count = static_cast<std::int64_t>(std::size(list));
  if (index < 0 || index >= count) {
    refuse(what, index,
           count == 0 ? "in a list, but the list is empty" : "from 0 to " + std::to_string(count - 1));
  }
  return list[static_cast<std::size_t>(index)];
}

/// Converts the caller's number to an enumerator. Throws unless it is from `first` to `last`. The C names
/// have the order of the enumerators.
template <class Enum>
Enum enumerator(const char* what, std::int32_t value, Enum last, const char* allowed,
                std::int32_t first = 0) {
  if (value < first || value > static_cast<std::int32_t>(last)) refuse(what, value, allowed);
  return static_cast<Enum>(value);
}

/// Converts a member that is 0 or 1.
inline bool flag(const char* what, std::int32_t value) {
  if (value != 0 && value != 1) refuse(what, value, "0 or 1");
  return value == 1;
}

/// Throws unless the caller's struct has a size that some version of the library could have given it, and
/// sets no member that this version does not have. `least`: its size in the first version.
void check_size(const char* type, const void* one, std::uint32_t size, std::size_t own, std::size_t least);

/// The size of each struct in the first version of the interface; a struct that has grown has its own.
template <class Struct>
inline constexpr std::size_t kFirstSize = sizeof(Struct);

/// Copies a struct of the caller's, of any version: members that it lacks are 0. Throws as check_size().
template <class Struct>
Struct struct_of(const Struct* given, const char* type) {
  require(given, type);
  std::uint32_t size = 0;
  std::memcpy(&size, given, sizeof size);
  check_size(type, given, size, sizeof(Struct), kFirstSize<Struct>);
  Struct own{};
  std::memcpy(&own, given, size < sizeof own ? size : sizeof own);
  own.size = sizeof own;
  return own;
}

/// The same for a pointer that may be null, which stands for all members 0.
template <class Struct>
Struct struct_or_zero(const Struct* given, const char* type) {
  return given == nullptr ? Struct{} : struct_of(given, type);
}

/// The names of an array of structs, for errors: "parameters", "onepass_parameter", "parameter_count".
struct ArrayNames {
  const char* array;
  const char* type;
  const char* count;
};

/// Calls each(copy, index) for every struct of an array. All have the size of the first.
template <class Struct, class Each>
void for_each_struct(const Struct* first, std::int64_t count, const ArrayNames& names, const Each& each) {
  const auto all = array_of(first, names.array, count, names.count);
  if (all.empty()) return;
  std::uint32_t stride = 0;
  std::memcpy(&stride, first, sizeof stride);
  const auto* const bytes = reinterpret_cast<const unsigned char*>(first);
  for (std::size_t i = 0; i < all.size(); ++i) {
    const auto* const one = reinterpret_cast<const Struct*>(bytes + i * stride);
    std::uint32_t size = 0;
    std::memcpy(&size, one, sizeof size);
    if (size != stride)
      refuse(std::string(names.type) + ".size", size, "that of the first one, " + std::to_string(stride));
    each(struct_of(one, names.type), i);
  }
}

/// Writes a struct to the caller's, which may be that of an older version. Throws as check_size(), but does
/// not ask what else the caller's memory has.
template <class Struct>
void write_struct(Struct own, Struct* to, const char* type) {
  require(to, type);
  std::uint32_t size = 0;
  std::memcpy(&size, to, sizeof size);
  check_size(type, nullptr, size, sizeof(Struct), kFirstSize<Struct>);
  own.size = size;
  std::memcpy(to, &own, size < sizeof own ? size : sizeof own);
}

/// Writes a result to the caller's pointer, which must not be null.
template <class T>
void write(T* to, const char* name, std::type_identity_t<T> value) {
  require(to, name);
  *to = value;
}

/// Gives a new handle to the caller, whose pointer must not be null and becomes null at once: if `make`
/// throws, the caller has no handle.
template <class Handle, class Make>
void write_handle(Handle** to, const char* name, const Make& make) {
  require(to, name);
  *to = nullptr;
  *to = make();
}

/// Keeps a text until this thread keeps another one.
const char* kept(std::string text);
/// Keeps a text until the process ends. For the few names that rules and formats have.
const char* kept_forever(const std::string& text);

inline Stream stream_of(void* stream) { return static_cast<CUstream_st*>(stream); }

}  // namespace onepass::c
