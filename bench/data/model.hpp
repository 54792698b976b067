// model.hpp - the parameters and gradients of a layout in a storage format, in the memory of a device.
#pragma once

#include <cstddef>
#include <span>
#include <string>
#include <vector>

#include "bench/cases/formats.hpp"
#include "bench/cases/layouts.hpp"
#include "bench/limit/traffic.hpp"
#include "onepass/device.hpp"
#include "onepass/optimizer.hpp"
#include "onepass/parameter.hpp"

namespace onepass::bench {

/// Parameters and gradients are uniform in (-1, 1) and, up to rounding, the same in every format. They repeat
/// after about a million elements. Tensors lie one after the other, each at a multiple of 64 bytes. Gradients
/// begin at another offset within a page than parameters.
class Model {
 public:
  Model(const Layout& layout, const FormatChoice& format, Device device);

  [[nodiscard]] std::vector<Parameter> parameters() const;

 private:
  std::vector<Tensor> params_, grads_;  // declared before the memory, because allocating it fills them
  DeviceBuffer param_memory_, grad_memory_;
};

/// Returns a name like "t17".
std::string tensor_name(std::size_t tensor);

/// Bytes per element of each stream.
struct ElementBytes {
  int param, grad, state;
  int remainder;     ///< Bytes of the master or remainder; 0 if the format has neither.
  bool has_scales;   ///< States have a scale for each block.
  bool reads_param;  ///< False with a float32 master: a step then writes the parameter without reading it.
};
ElementBytes element_bytes(const FormatChoice& format);

/// Returns the addresses of all streams, one entry per tensor. `optimizer` steps the model's parameters.
std::vector<TensorStreams> streams_of(const Model& model, const FormatChoice& format, Optimizer& optimizer);

/// Returns the sum over all streams.
double total_bytes(std::span<const StreamBytes> streams);

}  // namespace onepass::bench
