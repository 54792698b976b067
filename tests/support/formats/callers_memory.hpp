// callers_memory.hpp - guarded memory for the streams of parameters, into which tests move them.
#pragma once

#include <algorithm>
#include <vector>

#include "support/formats/format_model.hpp"

namespace onepass::test {

/// Guarded buffers, each aligned to its elements alone.
class CallersMemory {
 public:
  explicit CallersMemory(Device device) : device_(device) {}

  /// Returns memory for `numel` elements whose contents are no number's that a step leaves.
  Tensor give(DType dtype, std::int64_t numel) {
    const int misalignment = static_cast<int>(buffers_.size() % 3);
    return buffers_.emplace_back(device_, dtype, numel, misalignment).tensor();
  }
  /// Moves a tensor: returns other memory with the same contents, and scrambles the old one.
  Tensor move(const Tensor& from) {
    if (from.data == nullptr) return from;
    const Tensor to = give(from.dtype, from.numel);
    copy({device_, to.data}, {device_, from.data}, from.bytes());
    const std::vector<std::byte> scrambled(from.bytes(), std::byte{0x3b});
    copy({device_, from.data}, {Device::cpu(), scrambled.data()}, scrambled.size());
    return to;
  }
  /// Moves everything of the caller's that a parameter has.
  Parameter move(Parameter parameter) {
    parameter.value = move(parameter.value);
    parameter.grad = move(parameter.grad);
    parameter.copy = move(parameter.copy);
    for (GivenStream& stream : parameter.streams) stream.tensor = move(stream.tensor);
    return parameter;
  }
  std::vector<Parameter> move(std::vector<Parameter> parameters) {
    for (Parameter& parameter : parameters) parameter = move(std::move(parameter));
    return parameters;
  }
  /// Gives memory for the streams that an optimizer keeps, as `required` says, if `chosen(name)`. The memory
  /// holds no zeros. Counters are of float32 and int64 in turn.
  template <class Chosen>
  std::vector<Parameter> give(std::vector<Parameter> parameters, const std::vector<RequiredMemory>& required,
                              Contents contents, Chosen chosen) {
    for (std::size_t i = 0; i < parameters.size(); ++i) {
      for (const RequiredStream& stream : required[i].streams) {
        if (!chosen(stream.name)) continue;
        const bool is_float = stream.name == "step" && i % 2 == 0;
        const Tensor tensor = give(is_float ? DType::float32 : stream.dtype, stream.numel);
        parameters[i].streams.push_back({stream.name, tensor, contents});
      }
    }
    return parameters;
  }
  /// Returns true if no byte around the buffers was overwritten.
  [[nodiscard]] bool intact() const { return std::ranges::all_of(buffers_, &FormatBuffer::intact); }

 private:
  Device device_;
  std::vector<FormatBuffer> buffers_;
};

/// The bytes of a tensor on any device.
inline std::vector<std::byte> bytes_of(const Tensor& tensor) {
  std::vector<std::byte> bytes(tensor.bytes());
  copy({Device::cpu(), bytes.data()}, {tensor.device, tensor.data}, bytes.size());
  return bytes;
}

/// Writes the gradients of step `step` into the gradients of parameters, wherever they lie: those that
/// FormatModel::draw_finite() writes for parameters in this order.
inline void draw_gradients_of(const std::vector<Parameter>& parameters, std::int64_t step) {
  for (std::size_t i = 0; i < parameters.size(); ++i) {
    const Tensor& grad = parameters[i].grad;
    if (grad.data == nullptr) continue;
    std::vector<float> gradient(static_cast<std::size_t>(grad.numel));
    draw_gradient(gradient, i, 1000 + step, 200);
    const std::vector<std::byte> bytes = encoded(grad.dtype, gradient);
    copy({grad.device, grad.data}, {Device::cpu(), bytes.data()}, bytes.size());
  }
}

}  // namespace onepass::test
