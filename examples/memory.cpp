// memory.cpp - states and step counters in memory of your own: another optimizer goes on from them, and they
// may move between steps. Shards of a matrix step as the matrix does.
#include <algorithm>
#include <cstdint>
#include <cstdio>
#include <cstdlib>
#include <onepass/onepass.hpp>
#include <vector>

namespace {

using onepass::Device;

struct Model {
  std::vector<float> weights = std::vector<float>(100, 1.0f), grads = std::vector<float>(100);

  /// A made-up gradient that differs from step to step.
  void backward(int step) {
    for (std::size_t i = 0; i < weights.size(); ++i) {
      grads[i] = weights[i] - static_cast<float>((i + static_cast<std::size_t>(step)) % 3);
    }
  }
  [[nodiscard]] std::vector<onepass::Parameter> parameters() {
    return {{.name = "weights", .value = weights, .grad = grads}};
  }
};

void train(Model& model, onepass::Optimizer& optimizer, int from, int to) {
  for (int step = from; step < to; ++step) {
    model.backward(step);
    optimizer.step();
  }
}

/// Steps a matrix of bfloat16 with 40 rows and 96 columns, and two shards of it: the columns from 0 to 69,
/// and the others. Returns whether the shards have the bits of the matrix.
bool columns_step_as_the_matrix() {
  using onepass::DType;
  constexpr std::int64_t kRows = 40, kColumns = 96, kLeft = 70, kRight = kColumns - kLeft;
  std::vector<std::uint16_t> whole(kRows * kColumns, 0x3f80), left(kRows * kLeft, 0x3f80);
  std::vector<std::uint16_t> right(kRows * kRight, 0x3f80);
  std::vector<float> grads(whole.size(), 0.01f);  // of the matrix, or as many of them as a shard needs
  const auto step = [&](onepass::Parameter parameter) {
    parameter.grad = {grads.data(), parameter.value.numel};
    onepass::Optimizer{onepass::AdamW{.lr = 1e-3},
                       std::vector{parameter},
                       {.storage = {.rounding = onepass::Rounding::stochastic}}}
        .step();
  };
  step({.name = "w", .value = {whole.data(), DType::bfloat16, kRows * kColumns}});
  // [shards]
  step({.name = "w",  // the columns from 0 to 69
        .value = {left.data(), DType::bfloat16, kRows * kLeft},
        .run = kLeft,
        .pitch = kColumns});
  step({.name = "w",  // the columns from 70 to 95
        .value = {right.data(), DType::bfloat16, kRows * kRight},
        .first = kLeft,
        .run = kRight,
        .pitch = kColumns});
  // [/shards]
  bool same = true;
  for (std::int64_t row = 0; row < kRows; ++row) {
    const auto* const expected = whole.data() + row * kColumns;
    same = same && std::equal(expected, expected + kLeft, left.data() + row * kLeft) &&
           std::equal(expected + kLeft, expected + kColumns, right.data() + row * kRight);
  }
  return same;
}

}  // namespace

int main() {
  const onepass::AdamW rule{.lr = 0.1};
  Model wanted, model;
  onepass::Optimizer at_once{rule, wanted.parameters()};
  train(wanted, at_once, 0, 30);

  // [give]
  std::vector<onepass::Parameter> parameters = model.parameters();
  std::vector<onepass::DeviceBuffer> memory;  // or tensors of a framework
  const auto required = onepass::Optimizer::required_memory(rule, parameters);
  for (std::size_t i = 0; i < parameters.size(); ++i) {
    for (const onepass::RequiredStream& stream : required[i].streams) {  // exp_avg, exp_avg_sq, step
      memory.emplace_back(Device::cpu(), stream.bytes);
      parameters[i].streams.push_back({stream.name, {memory.back().data(), stream.dtype, stream.numel}});
    }
  }
  // [/give]
  {
    onepass::Optimizer first{rule, parameters};
    train(model, first, 0, 10);
  }
  // [go-on]
  for (onepass::GivenStream& stream : parameters[0].streams) stream.contents = onepass::Contents::present;
  onepass::Optimizer second{rule, parameters};  // goes on where another optimizer has stopped
  // [/go-on]
  train(model, second, 10, 20);

  // [move]
  Model elsewhere = model;  // the numbers are in other memory now
  parameters[0].value = elsewhere.weights;
  parameters[0].grad = elsewhere.grads;
  second.set_memory(parameters);  // the states stay where they are
  // [/move]
  train(elsewhere, second, 20, 30);

  const bool same = elsewhere.weights == wanted.weights && columns_step_as_the_matrix();
  // [count]
  const auto* const counter = static_cast<const std::int64_t*>(parameters[0].streams.back().tensor.data);
  std::printf("after %lld steps: ", static_cast<long long>(*counter));  // on the CPU: read it at any time
  // [/count]
  std::printf("%s\n", same ? "the same bits" : "DIFFERENT BITS");
  return same && *counter == 30 ? EXIT_SUCCESS : EXIT_FAILURE;
}
