// model.hpp - parameters and gradients of a layout in a format, in the memory of a device.
#pragma once

#include <cstddef>
#include <vector>

#include "bench/cases/formats.hpp"
#include "bench/cases/layouts.hpp"
#include "bench/cases/rules.hpp"
#include "bench/limit/traffic.hpp"
#include "onepass/device.hpp"
#include "onepass/parameter.hpp"

namespace onepass::bench {

/// Parameters and gradients are uniform in (-1, 1), the same ones for every format up to rounding, and repeat
/// themselves after a million. Tensors lie behind one another, each at a multiple of 64 bytes; gradients
/// start at another offset of their page than parameters.
class Model {
 public:
  Model(const Layout& layout, const FormatChoice& format, Device device);

  [[nodiscard]] std::vector<Parameter> parameters() const;

 private:
  std::vector<Tensor> params_, grads_;  // before the memory: allocation fills them
  DeviceBuffer param_memory_, grad_memory_;
};

/// "t17"
std::string tensor_name(std::size_t tensor);

/// Bytes of an element of each stream.
struct ElementBytes {
  int param, grad, state;
  int remainder;     ///< 0 without.
  bool grouped;      ///< States have scales, too.
  bool reads_param;  ///< False beside a float32 master.
};
ElementBytes element_bytes(const FormatChoice& format);

/// Where everything lies, one entry a tensor. `stepper` is an optimizer over the model's parameters.
std::vector<TensorStreams> streams_of(const Model& model, const FormatChoice& format, Stepper& stepper);

}  // namespace onepass::bench
