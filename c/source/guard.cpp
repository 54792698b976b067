// guard.cpp - status codes of exceptions, texts that the caller reads, and the sizes of structs.
#include "c/source/guard.hpp"

#include <algorithm>
#include <exception>
#include <mutex>
#include <new>
#include <set>

namespace onepass::c {
namespace {

thread_local std::string last_error;
thread_local std::string last_text;

int failed_as(int status, const char* what) noexcept {
  try {
    last_error = what;
  } catch (...) {
    last_error.clear();  // there is no memory for the message
  }
  return status;
}

}  // namespace

int failed() noexcept {
  try {
    throw;
  } catch (const InvalidArgument& error) {
    return failed_as(ONEPASS_INVALID_ARGUMENT, error.what());
  } catch (const NonFiniteGradient& error) {
    return failed_as(ONEPASS_NONFINITE_GRADIENT, error.what());
  } catch (const CudaError& error) {
    return failed_as(ONEPASS_CUDA_ERROR, error.what());
  } catch (const FileError& error) {
    return failed_as(ONEPASS_FILE_ERROR, error.what());
  } catch (const std::bad_alloc&) {
    return failed_as(ONEPASS_OUT_OF_MEMORY, "onepass: there is not enough memory");
  } catch (const std::length_error&) {  // a container that no memory could hold
    return failed_as(ONEPASS_OUT_OF_MEMORY, "onepass: there is not enough memory");
  } catch (const std::exception& error) {
    return failed_as(ONEPASS_OTHER_ERROR, error.what());
  } catch (...) {
    return failed_as(ONEPASS_OTHER_ERROR, "onepass: unknown error");
  }
}

void refuse(std::string_view sentence) { throw InvalidArgument(std::string("onepass: ").append(sentence)); }

void refuse(std::string_view what, std::int64_t value, std::string_view allowed) {
  refuse(
      std::string(what).append(" is ").append(std::to_string(value)).append("; it must be ").append(allowed));
}

void check_size(const char* type, const void* one, std::uint32_t size, std::size_t own, std::size_t least) {
  const std::string name = std::string(type) + ".size";
  // No version of a struct is that large: the member was not set.
  constexpr std::uint32_t kMost = 4096;
  if (size < least || size > kMost || size % 4 != 0) {
    refuse(name, size, std::string("sizeof(") + type + "), which is " + std::to_string(own));
  }
  if (one == nullptr || size <= own) return;
  const auto* const bytes = static_cast<const unsigned char*>(one);
  if (std::any_of(bytes + own, bytes + size, [](unsigned char byte) { return byte != 0; })) {
    refuse(std::string(type) + " sets a member that this version of the library does not have");
  }
}

const char* kept(std::string text) {
  last_text = std::move(text);
  return last_text.c_str();
}

const char* kept_forever(const std::string& text) {
  static std::mutex mutex;
  static auto& texts = *new std::set<std::string>;  // outlives everything that may still read them
  const std::lock_guard lock(mutex);
  return texts.insert(text).first->c_str();
}

}  // namespace onepass::c

extern "C" const char* onepass_last_error(void) { return onepass::c::last_error.c_str(); }
