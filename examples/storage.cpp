// storage.cpp - 16-bit parameters with remainders, 8-bit states or stochastic rounding; a parameter with a
// storage of its own; an average and a copy.
#include <cmath>
#include <cstdint>
#include <cstdio>
#include <cstdlib>
#include <onepass/onepass.hpp>
#include <vector>

namespace {

using onepass::DType;
using onepass::storage::BFloat16;

constexpr std::int64_t kCount = 1024;

/// Computes the gradient of half the squared distance to 1 from the 16-bit weights.
void backward(const std::vector<std::uint16_t>& weights, std::vector<std::uint16_t>& grads) {
  for (std::size_t i = 0; i < weights.size(); ++i) {
    grads[i] = BFloat16::encode(BFloat16::decode(weights[i]) - 1.0f);
  }
}

bool compact() {
  std::vector<std::uint16_t> weights(kCount, 0), grads(kCount);
  // [compact]
  const std::vector<onepass::Parameter> parameters{{.name = "weights",
                                                    .value = {weights.data(), DType::bfloat16, kCount},
                                                    .grad = {grads.data(), DType::bfloat16, kCount}}};
  onepass::Optimizer optimizer{
      onepass::AdamW{.lr = 0.01},
      parameters,
      {.storage = {.master = onepass::Master::remainder8, .states = onepass::States::quantized8}}};

  double bytes = 0;
  for (const onepass::StreamBytes& stream : optimizer.memory()) bytes += stream.bytes;
  std::printf("%.3f bytes per parameter\n", bytes / kCount);  // 7.125 bytes per parameter
  // [/compact]
  for (int step = 0; step < 500; ++step) {
    backward(weights, grads);
    optimizer.step();
  }
  return std::abs(BFloat16::decode(weights[7]) - 1.0f) < 0.05f && bytes == 7.125 * kCount;
}

bool stochastic() {
  std::vector<std::uint16_t> weights(kCount, 0), grads(kCount);
  const std::vector<onepass::Parameter> parameters{{.name = "weights",
                                                    .value = {weights.data(), DType::bfloat16, kCount},
                                                    .grad = {grads.data(), DType::bfloat16, kCount}}};
  // [stochastic]
  onepass::Optimizer optimizer{onepass::SGD{.lr = 0.001},
                               parameters,
                               {.storage = {.rounding = onepass::Rounding::stochastic}, .seed = 1}};
  // [/stochastic]
  for (int step = 0; step < 5000; ++step) {
    backward(weights, grads);
    optimizer.step();
  }
  return std::abs(BFloat16::decode(weights[7]) - 1.0f) < 0.05f;
}

bool own_storage() {
  std::vector<float> weights(kCount, 0.0f), grads(kCount), rows(kCount, 0.0f), row_grads(kCount);
  // [own_storage]
  const onepass::Storage eight_bits{.states = onepass::States::quantized8};
  const std::vector<onepass::Parameter> parameters{
      {.name = "matrix", .value = weights, .grad = grads},
      {.name = "embedding", .value = rows, .grad = row_grads, .storage = onepass::Storage{}}};
  onepass::Optimizer optimizer{onepass::AdamW{.lr = 0.01}, parameters, {.float32_storage = eight_bits}};
  // [/own_storage]
  for (int step = 0; step < 500; ++step) {
    for (std::size_t i = 0; i < grads.size(); ++i) {
      grads[i] = weights[i] - 1.0f;
      row_grads[i] = rows[i] - 1.0f;
    }
    optimizer.step();
  }
  return std::abs(weights[7] - 1.0f) < 0.05f && std::abs(rows[7] - 1.0f) < 0.05f &&
         optimizer.state("matrix", "exp_avg").dtype == DType::uint8 &&
         optimizer.state("embedding", "exp_avg").dtype == DType::float32;
}

bool followers() {
  std::vector<float> weights(kCount, 0.0f), grads(kCount, 1.0f);
  std::vector<std::uint16_t> low(kCount);
  // [followers]
  const std::vector<onepass::Parameter> parameters{
      {.name = "weights",
       .value = weights,
       .grad = grads,
       .copy = {low.data(), DType::bfloat16, kCount}}};  // what the model reads
  onepass::Optimizer optimizer{
      onepass::SGD{.lr = 0.5}, parameters, {.ema = onepass::EMA{.decay = 0.99, .warmup = true}}};
  optimizer.step();
  const onepass::Tensor average = optimizer.state("weights", "ema");  // what to evaluate with
  // [/followers]
  return BFloat16::decode(low[0]) == -0.5f && static_cast<const float*>(average.data)[0] < -0.4f;
}

}  // namespace

int main() { return compact() && stochastic() && own_storage() && followers() ? EXIT_SUCCESS : EXIT_FAILURE; }
