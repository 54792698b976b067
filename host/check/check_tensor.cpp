#include "host/check/check_tensor.hpp"

#include <cstdint>
#include <string>

#include "host/check/sentence.hpp"
#include "host/cuda/runtime.hpp"

namespace onepass {
namespace {

[[noreturn]] void fail(const TensorRole& role, const std::string& sentence) {
  throw InvalidArgument("onepass: " + std::string(role.function) + ": " + role.name + " " + sentence);
}

}  // namespace

void check_tensor(const TensorRole& role, const Tensor& tensor, DType dtype) {
  if (tensor.dtype != dtype) {
    fail(role, "must be of " + std::string(to_string(dtype)) + ", but is of " + to_string(tensor.dtype));
  }
  if (tensor.numel < 0 || tensor.numel > kMostElements) {
    fail(role, "has " + elements(tensor.numel) + ", but must have from 0 to 2^53");
  }
  if (tensor.device.is_cuda()) cuda::require_device(tensor.device.index());
  if (tensor.numel == 0) return;
  if (tensor.data == nullptr) fail(role, "is null, but has " + elements(tensor.numel));
  if (!cuda::reachable_from(tensor.data, tensor.device)) {
    fail(role, "is said to be on " + to_string(tensor.device) + ", but its memory is on " +
                   to_string(cuda::home_of(tensor.data)));
  }
  if (reinterpret_cast<std::uintptr_t>(tensor.data) % size_of(tensor.dtype) != 0) {
    fail(role, "is not aligned to its elements of " + std::to_string(size_of(tensor.dtype)) + " bytes");
  }
}

void check_same_or_apart(const TensorRole& role, const Tensor& tensor, const char* other_name,
                         const Tensor& other) {
  if (tensor.data == other.data || tensor.numel == 0 || other.numel == 0) return;
  const auto begin = reinterpret_cast<std::uintptr_t>(tensor.data);
  const auto other_begin = reinterpret_cast<std::uintptr_t>(other.data);
  if (begin < other_begin + other.bytes() && other_begin < begin + tensor.bytes()) {
    fail(role, "overlaps " + std::string(other_name) + " in memory without being the same tensor");
  }
}

}  // namespace onepass
