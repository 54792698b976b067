// dropout.cpp - checks the arguments of dropout and calls the backend.
#include "onepass/regularizers/dropout.hpp"

#include <string>

#include "host/check/check_tensor.hpp"
#include "host/check/sentence.hpp"
#include "host/cpu/random.hpp"
#include "host/cuda/random.hpp"

namespace onepass {
namespace {

[[noreturn]] void fail(const char* function, const std::string& sentence) {
  throw InvalidArgument("onepass: " + std::string(function) + ": " + sentence);
}

/// Checks a tensor against `in` and the RandomState's device.
void check_partner(const TensorRole& role, const Tensor& tensor, const DropoutCall& call, Device device) {
  check_tensor(role, tensor);
  if (tensor.numel != call.in.numel) {
    fail(role.function, std::string(role.name) + " has " + elements(tensor.numel) + ", but in has " +
                            std::to_string(call.in.numel));
  }
  if (tensor.device != device) {
    fail(role.function, std::string(role.name) + " is on " + to_string(tensor.device) +
                            ", but the RandomState is on " + to_string(device));
  }
}

/// Returns true if the call has a residual: a tensor with memory or elements. An empty tensor's pointer may
/// be null.
bool has_residual(const DropoutCall& call) {
  return call.residual.data != nullptr || call.residual.numel != 0;
}

void check(const char* function, const Dropout& dropout, const DropoutCall& call, Device device) {
  if (!(dropout.p >= 0.0 && dropout.p <= 1.0)) {
    fail(function, "Dropout.p must lie in [0, 1], but is " + number(dropout.p));
  }
  check_partner({function, "in"}, call.in, call, device);
  check_partner({function, "out"}, call.out, call, device);
  check_same_or_apart({function, "out"}, call.out, "in", call.in);
  if (has_residual(call)) {
    check_partner({function, "residual"}, call.residual, call, device);
    check_same_or_apart({function, "out"}, call.out, "residual", call.residual);
  }
  if (call.first < 0 || call.first > random::kMostElements - call.in.numel) {
    fail(function, "first must be at least 0 and first + numel at most 2^50, but first is " +
                       std::to_string(call.first) + " and numel " + std::to_string(call.in.numel));
  }
}

void run(const char* function, const Dropout& dropout, const DropoutCall& call, const RandomState& state,
         Stream stream) {
  if (state.data() == nullptr) fail(function, "the RandomState has been moved from");
  check(function, dropout, call, state.device());
  if (call.in.numel == 0) return;
  const step::DropoutJob job{.coefficients = regularizers::DropoutCoefficients::prepare(dropout),
                             .state = state.data(),
                             .site = call.site,
                             .range = {call.first, call.in.numel},
                             .out = static_cast<float*>(call.out.data),
                             .in = static_cast<const float*>(call.in.data),
                             .residual = static_cast<const float*>(call.residual.data)};
  if (state.device().is_cuda()) {
    cuda::dropout(state.device().index(), job, state.dropout_blocks(), stream);
  } else {
    cpu::dropout(job);
  }
}

}  // namespace

void dropout_forward(const Dropout& dropout, const DropoutCall& call, const RandomState& state,
                     Stream stream) {
  run("dropout_forward", dropout, call, state, stream);
}

void dropout_backward(const Dropout& dropout, const DropoutCall& call, const RandomState& state,
                      Stream stream) {
  run("dropout_backward", dropout, call, state, stream);
}

}  // namespace onepass
