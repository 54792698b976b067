// network.hpp - a multilayer perceptron: an activation between the layers, softmax cross entropy at the end.
#pragma once

#include <cstdint>
#include <string>
#include <vector>

#include "model/backend.hpp"
#include "onepass/parameter.hpp"

namespace train {

/// A named tensor on the host, as a saved run keeps it.
struct NamedValues {
  std::string name;
  std::vector<float> values;
};

/// What a network is made of.
struct Shape {
  std::vector<std::int64_t> widths;  ///< Input, hidden layers, classes.
  Activation activation = Activation::relu;
  std::int64_t max_rows = 1;  ///< The most images at once.
};

/// How many of the weights, biases apart, are exactly zero.
struct Zeros {
  std::int64_t zero = 0;
  std::int64_t all = 0;
};

/// Owns parameters, gradients and activations in the backend's memory. Layer i computes
/// y = x W^T + b with W of widths[i + 1] rows and widths[i] columns, as torch.nn.Linear.
class Network {
 public:
  /// The backend must outlive the network.
  Network(Backend& backend, Shape shape);

  /// He's uniform initialisation: weights in +-sqrt(6 / inputs), those of the last layer a tenth of that, as
  /// no activation follows it; biases 0. Waits for the stream.
  void initialise(std::uint64_t seed);

  /// Where the images of a batch and their labels go.
  [[nodiscard]] Matrix input(std::int64_t rows) const {
    return {input_.as<float>(), rows, shape_.widths.front()};
  }
  [[nodiscard]] std::uint8_t* labels() const { return labels_.as<std::uint8_t>(); }

  /// The logits of the first `rows` inputs; valid until the next call.
  Matrix forward(std::int64_t rows);

  /// After forward(): writes the mean loss, and the gradient of it to every parameter's gradient.
  void backward(std::int64_t rows, double* mean_loss);

  /// After forward(): writes the mean loss and the number of rows that were classified correctly.
  void score(std::int64_t rows, double* mean_loss, std::int64_t* correct);

  /// "layer1.weight", "layer1.bias", ... with their gradients; all in group 0.
  [[nodiscard]] std::vector<onepass::Parameter> parameters() const;
  [[nodiscard]] std::int64_t parameter_count() const;
  [[nodiscard]] const Shape& shape() const { return shape_; }
  /// Waits for the stream.
  [[nodiscard]] Zeros count_zero_weights() const;

  /// Parameters to and from the host. Wait for the stream.
  [[nodiscard]] std::vector<NamedValues> read() const;
  /// Throws Failure unless names and sizes are the network's.
  void write(const std::vector<NamedValues>& saved);

 private:
  struct Layer {
    std::int64_t inputs, outputs;
    onepass::DeviceBuffer weight, bias, weight_grad, bias_grad;
    onepass::DeviceBuffer output;  ///< max_rows x outputs
    onepass::DeviceBuffer delta;   ///< The loss's gradient by output; empty for the last layer.

    [[nodiscard]] Matrix weights() const { return {weight.as<float>(), outputs, inputs}; }
    [[nodiscard]] Matrix out(std::int64_t rows) const { return {output.as<float>(), rows, outputs}; }
  };

  [[nodiscard]] onepass::DeviceBuffer floats(std::int64_t count) const;
  [[nodiscard]] std::vector<NamedValues> zeros() const;

  Backend& backend_;
  Shape shape_;
  onepass::DeviceBuffer input_, labels_, row_loss_;
  std::vector<Layer> layers_;
};

}  // namespace train
