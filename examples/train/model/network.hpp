// network.hpp - a multilayer perceptron: an activation and dropout between the layers, softmax cross entropy.
#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <vector>

#include "model/backend.hpp"
#include "onepass/initializers/initialize.hpp"
#include "onepass/parameter.hpp"
#include "onepass/random/random_state.hpp"
#include "onepass/regularizers/dropout.hpp"

namespace train {

/// A named tensor on the host, as a saved run keeps it. Parameters of 16 bits too are float32 here, which
/// holds them exactly.
struct NamedValues {
  std::string name;
  std::vector<float> values;
};

/// What a network is made of.
struct Shape {
  std::vector<std::int64_t> widths;  ///< Input, hidden layers, classes.
  Activation activation = Activation::relu;
  double dropout = 0.0;       ///< Share of the hidden layers' outputs, in [0, 1).
  std::int64_t max_rows = 1;  ///< The most images at once.
  /// Of the parameters and their gradients: float32 or bfloat16.
  onepass::DType dtype = onepass::DType::float32;
};

/// The images of a training step that go through the network at once.
struct Part {
  std::int64_t rows = 0;
  /// Images of the step that are not among them but come before: dropout's masks are those that the whole
  /// step would have at once.
  std::int64_t first = 0;
  double share = 1.0;  ///< The gradients are those of so many times the mean loss of the rows.
};

/// How many of the weights, biases apart, are exactly zero.
struct Zeros {
  std::int64_t zero = 0;
  std::int64_t all = 0;
};

/// Owns parameters, gradients and activations in the backend's memory. Layer i computes
/// y = x W^T + b with W of widths[i + 1] rows and widths[i] columns, as torch.nn.Linear.
///
/// All arithmetic is in float32, and so are the activations. Where parameters are bfloat16, each tensor is
/// widened as it is used, and its gradient is rounded as it is done: no more than one tensor at a time is in
/// float32.
class Network {
 public:
  /// The backend must outlive the network.
  Network(Backend& backend, Shape shape);

  /// Weights as the initializer says, tensor i of the seed for layer i, but those of the last layer a tenth
  /// of that, as no activation follows it; biases 0. Drawn in float32, then rounded to dtype. Dropout starts
  /// at the seed, offset 0. Waits for the stream.
  void initialise(std::uint64_t seed, const onepass::Initializer& initializer);

  /// Where the images of a batch and their labels go.
  [[nodiscard]] Matrix input(std::int64_t rows) const {
    return {input_.as<float>(), rows, shape_.widths.front()};
  }
  [[nodiscard]] std::uint8_t* labels() const { return labels_.as<std::uint8_t>(); }

  /// The logits of the first `rows` inputs, nothing dropped; valid until the next call.
  Matrix forward(std::int64_t rows);

  /// The same with dropout.
  Matrix forward(const Part& part);

  /// After forward(part): writes the mean loss of the rows, and to every parameter's gradient that of
  /// part.share times it.
  void backward(const Part& part, double* mean_loss);

  /// New masks from now on. Once a step, after the last backward().
  void advance();

  /// After forward(rows): writes the mean loss and the number of rows that were classified correctly.
  void score(std::int64_t rows, double* mean_loss, std::int64_t* correct);

  /// "layer1.weight", "layer1.bias", ... with their gradients; all in group 0.
  [[nodiscard]] std::vector<onepass::Parameter> parameters() const;
  [[nodiscard]] std::int64_t parameter_count() const;
  [[nodiscard]] const Shape& shape() const { return shape_; }
  /// Waits for the stream.
  [[nodiscard]] Zeros count_zero_weights() const;

  /// Parameters to and from the host. Wait for the stream.
  [[nodiscard]] std::vector<NamedValues> read() const;
  /// Rounds to dtype. Throws Failure unless names and sizes are the network's.
  void write(const std::vector<NamedValues>& saved);

  /// Where dropout's masks are drawn from; all 0 where nothing is dropped. Waits for the stream.
  [[nodiscard]] onepass::RandomPosition random() const;
  void restore(onepass::RandomPosition position);

 private:
  struct Layer {
    std::int64_t inputs, outputs;
    onepass::DeviceBuffer weight, bias, weight_grad, bias_grad;  ///< Of Shape::dtype.
    onepass::DeviceBuffer output;                                ///< max_rows x outputs
    onepass::DeviceBuffer delta;    ///< The loss's gradient by output; empty for the last layer.
    onepass::DeviceBuffer thinned;  ///< The output after dropout; empty where nothing is dropped.

    [[nodiscard]] Matrix out(std::int64_t rows) const { return {output.as<float>(), rows, outputs}; }
    /// What a training step passes on to the next layer.
    [[nodiscard]] Matrix passed_on(std::int64_t rows) const {
      return {thinned.bytes() > 0 ? thinned.as<float>() : output.as<float>(), rows, outputs};
    }
  };

  [[nodiscard]] onepass::DeviceBuffer floats(std::int64_t count) const;
  /// Of Shape::dtype.
  [[nodiscard]] onepass::DeviceBuffer numbers(std::int64_t count) const;
  [[nodiscard]] bool is_low() const { return shape_.dtype != onepass::DType::float32; }
  /// A parameter's numbers in float32: where they lie, or in wide_ until the next call of this or round().
  [[nodiscard]] float* widened(const onepass::DeviceBuffer& parameter) const;
  [[nodiscard]] Matrix weights(const Layer& layer) const;
  /// Where a gradient is computed in float32, and how it then gets to its own memory.
  [[nodiscard]] float* place_for(const onepass::DeviceBuffer& gradient) const;
  void round(const onepass::DeviceBuffer& gradient) const;
  [[nodiscard]] std::vector<NamedValues> zeros() const;
  /// Writes layer i's output to y.
  void compute(std::size_t i, Matrix x, Matrix y);
  /// The call of dropout behind layer i.
  [[nodiscard]] onepass::DropoutCall dropout_call(std::size_t i, const Part& part, Matrix in,
                                                  Matrix out) const;

  Backend& backend_;
  Shape shape_;
  std::optional<onepass::RandomState> random_;  ///< Where something is dropped.
  onepass::DeviceBuffer input_, labels_, row_loss_;
  std::vector<Layer> layers_;
  onepass::DeviceBuffer wide_;  ///< Room for the largest parameter in float32; empty where all are.
};

}  // namespace train
