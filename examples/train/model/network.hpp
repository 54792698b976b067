// network.hpp - a multilayer perceptron with activations, dropout and softmax cross entropy.
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

/// A named tensor on the host, as in a saved run. 16-bit parameters are also stored as float32, exactly.
struct NamedValues {
  std::string name;
  std::vector<float> values;
};

/// The architecture and number format of a network.
struct Shape {
  std::vector<std::int64_t> widths;  ///< Widths of the input, the hidden layers and the output (classes).
  Activation activation = Activation::relu;
  double dropout = 0.0;       ///< Share of the hidden layers' outputs that is dropped, in [0, 1).
  std::int64_t max_rows = 1;  ///< Largest number of images at once.
  /// Number format of the parameters and their gradients: float32 or bfloat16.
  onepass::DType dtype = onepass::DType::float32;
};

/// The images of a training step that go through the network at once.
struct Part {
  std::int64_t rows = 0;
  /// Number of images of the step that precede this part. With it, dropout draws the same masks as if the
  /// whole step went through the network at once.
  std::int64_t first = 0;
  double share = 1.0;  ///< The gradients are those of `share` times the mean loss of the rows.
};

/// Counts of the weights, without biases.
struct Zeros {
  std::int64_t zero = 0;  ///< Weights that are exactly zero.
  std::int64_t all = 0;
};

/// Owns parameters, gradients and activations in the backend's memory. Layer i computes y = x W^T + b, where
/// W has widths[i + 1] rows and widths[i] columns, like torch.nn.Linear.
///
/// Activations are float32, and all arithmetic is in float32. A bfloat16 tensor is widened to float32 before
/// its use, and each gradient is rounded as soon as it is computed, so only one tensor at a time is in
/// float32.
class Network {
 public:
  /// The backend must outlive the network.
  Network(Backend& backend, Shape shape);

  /// Draws the weights of layer i with the initializer as tensor i of the seed, in float32, and rounds them
  /// to dtype. The weights of the last layer are divided by ten, because no activation follows it. Biases are
  /// 0. Dropout starts at offset 0 of the seed. Waits for the stream.
  void initialise(std::uint64_t seed, const onepass::Initializer& initializer);

  /// Memory for the images of a batch and for their labels; fill it before forward().
  [[nodiscard]] Matrix input(std::int64_t rows) const {
    return {input_.as<float>(), rows, shape_.widths.front()};
  }
  [[nodiscard]] std::uint8_t* labels() const { return labels_.as<std::uint8_t>(); }

  /// Returns the logits of the first `rows` inputs, without dropout. They are valid until the next call.
  Matrix forward(std::int64_t rows);

  /// Returns the logits of the part's inputs, with dropout. They are valid until the next call.
  Matrix forward(const Part& part);

  /// Call after forward(part). Writes the mean loss of the rows, and the gradient of part.share times that
  /// loss to the gradient of every parameter.
  void backward(const Part& part, double* mean_loss);

  /// Makes dropout draw new masks. Call it once per step, after the last backward().
  void advance();

  /// Call after forward(rows). Writes the mean loss and the number of rows that are classified correctly.
  void score(std::int64_t rows, double* mean_loss, std::int64_t* correct);

  /// Returns "layer1.weight", "layer1.bias", ... with their gradients; all in group 0. Weights have their
  /// shape.
  [[nodiscard]] std::vector<onepass::Parameter> parameters() const;
  [[nodiscard]] std::int64_t parameter_count() const;
  [[nodiscard]] const Shape& shape() const { return shape_; }
  /// Waits for the stream.
  [[nodiscard]] Zeros count_zero_weights() const;

  /// Copies the parameters to the host. Waits for the stream.
  [[nodiscard]] std::vector<NamedValues> read() const;
  /// Copies saved parameters to the network, rounded to dtype. Waits for the stream. Throws Failure unless
  /// names and sizes match.
  void write(const std::vector<NamedValues>& saved);

  /// Returns dropout's position in its random sequence; all 0 without dropout. Waits for the stream.
  [[nodiscard]] onepass::RandomPosition random() const;
  void restore(onepass::RandomPosition position);

 private:
  struct Layer {
    std::int64_t inputs, outputs;
    onepass::DeviceBuffer weight, bias, weight_grad, bias_grad;  ///< Elements of Shape::dtype.
    onepass::DeviceBuffer output;                                ///< max_rows x outputs
    onepass::DeviceBuffer delta;    ///< Gradient of the loss with respect to output; empty in the last layer.
    onepass::DeviceBuffer thinned;  ///< The output after dropout; empty without dropout.

    [[nodiscard]] Matrix out(std::int64_t rows) const { return {output.as<float>(), rows, outputs}; }
    /// The input of the next layer in a training step.
    [[nodiscard]] Matrix passed_on(std::int64_t rows) const {
      return {thinned.bytes() > 0 ? thinned.as<float>() : output.as<float>(), rows, outputs};
    }
  };

  /// Allocates memory for `count` floats.
  [[nodiscard]] onepass::DeviceBuffer floats(std::int64_t count) const;
  /// Allocates memory for `count` elements of Shape::dtype.
  [[nodiscard]] onepass::DeviceBuffer numbers(std::int64_t count) const;
  [[nodiscard]] bool is_low() const { return shape_.dtype != onepass::DType::float32; }
  /// Returns a parameter's values in float32: the parameter itself, or a copy in wide_ that is valid until
  /// the next use of wide_.
  [[nodiscard]] float* widened(const onepass::DeviceBuffer& parameter) const;
  [[nodiscard]] Matrix weights(const Layer& layer) const;
  /// Returns the memory in which to compute a gradient in float32: the gradient itself or wide_.
  [[nodiscard]] float* place_for(const onepass::DeviceBuffer& gradient) const;
  /// Rounds a gradient that was computed in wide_ to its own memory. Does nothing for float32.
  void round(const onepass::DeviceBuffer& gradient) const;
  [[nodiscard]] std::vector<NamedValues> zeros() const;
  /// Writes layer i's output to y.
  void compute(std::size_t i, Matrix x, Matrix y);
  /// Returns the arguments of the dropout that follows layer i.
  [[nodiscard]] onepass::DropoutCall dropout_call(std::size_t i, const Part& part, Matrix in,
                                                  Matrix out) const;

  Backend& backend_;
  Shape shape_;
  std::optional<onepass::RandomState> random_;  ///< Set if there is dropout.
  onepass::DeviceBuffer input_, labels_, row_loss_;
  std::vector<Layer> layers_;
  onepass::DeviceBuffer wide_;  ///< Room for the largest parameter in float32; empty if dtype is float32.
};

}  // namespace train
