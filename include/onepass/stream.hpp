// stream.hpp - an opaque handle of a CUDA stream.
#pragma once

struct CUstream_st;  // what a cudaStream_t points to; declared here so that no CUDA header is needed

namespace onepass {

/// Where work is queued. A cudaStream_t converts to it; Stream{} is the default stream. Does not own the
/// stream. On Device::cpu() it is ignored: the work is done when the call returns.
class Stream {
 public:
  constexpr Stream() = default;
  constexpr Stream(CUstream_st* handle) : handle_(handle) {}  // NOLINT: implicit on purpose

  [[nodiscard]] constexpr CUstream_st* handle() const { return handle_; }

 private:
  CUstream_st* handle_ = nullptr;
};

}  // namespace onepass
