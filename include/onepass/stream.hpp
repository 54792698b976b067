// stream.hpp - an opaque handle to a CUDA stream.
#pragma once

struct CUstream_st;  // A cudaStream_t points to this type. Declared here so that no CUDA header is needed.

namespace onepass {

/// A CUDA stream on which work is queued. A cudaStream_t converts to it; Stream{} is the default stream. It
/// does not own the CUDA stream. Work on Device::cpu() ignores it and is done when the call returns.
class Stream {
 public:
  constexpr Stream() = default;
  constexpr Stream(CUstream_st* handle) : handle_(handle) {}  // NOLINT: implicit on purpose

  [[nodiscard]] constexpr CUstream_st* handle() const { return handle_; }

 private:
  CUstream_st* handle_ = nullptr;
};

}  // namespace onepass
