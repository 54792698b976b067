// checkpoint.cpp - a training that goes on from a file, in another storage format, and from the files of
// shards.
#include <cmath>
#include <cstdint>
#include <cstdio>
#include <cstdlib>
#include <filesystem>
#include <onepass/onepass.hpp>
#include <string>
#include <vector>

namespace {

using onepass::DType;

constexpr std::int64_t kCount = 64;

/// Computes the gradient of half the squared distance to 1.
void backward(const std::vector<float>& weights, std::vector<float>& grad) {
  for (std::size_t i = 0; i < weights.size(); ++i) grad[i] = weights[i] - 1.0f;
}

void train(std::vector<float>& weights, std::vector<float>& grad, onepass::Optimizer& optimizer, int steps) {
  for (int step = 0; step < steps; ++step) {
    backward(weights, grad);
    optimizer.step();
  }
}

onepass::Optimizer optimizer_of(std::vector<float>& weights, std::vector<float>& grad) {
  return {onepass::AdamW{.lr = 0.01},
          std::vector<onepass::Parameter>{{.name = "weights", .value = weights, .grad = grad}}};
}

bool resume(const std::filesystem::path& folder) {
  const std::filesystem::path path = folder / "run.safetensors";
  std::vector<float> weights(kCount, 0.0f), grad(kCount);
  onepass::Optimizer optimizer = optimizer_of(weights, grad);
  train(weights, grad, optimizer, 10);
  const int epoch = 3;
  // [save]
  onepass::save(path, optimizer, {.metadata = {{"epoch", std::to_string(epoch)}}});
  // [/save]
  train(weights, grad, optimizer, 10);

  std::vector<float> again(kCount), again_grad(kCount);
  onepass::Optimizer resumed = optimizer_of(again, again_grad);
  // [load]
  onepass::load(path, resumed);  // parameters, states, counts, hyperparameters, schedules
  const int from = std::stoi(onepass::load_metadata(path).at("epoch"));
  // [/load]
  train(again, again_grad, resumed, 10);
  return again == weights && from == epoch;
}

bool convert(const std::filesystem::path& folder) {
  const std::filesystem::path path = folder / "run.safetensors";
  std::vector<std::uint16_t> weights(kCount);
  // [convert]
  onepass::Optimizer compact{
      onepass::AdamW{},
      std::vector<onepass::Parameter>{
          {.name = "weights", .value = {weights.data(), DType::bfloat16, kCount}}},
      {.storage = {.master = onepass::Master::remainder8, .states = onepass::States::quantized8}}};
  onepass::load(path, compact);  // a file of float32 parameters and states
  // [/convert]
  return compact.steps() == 10 && std::abs(onepass::storage::BFloat16::decode(weights[0]) - 0.1f) < 0.01f;
}

bool shards(const std::filesystem::path& folder) {
  std::vector<float> weights(kCount, 0.0f), grad(kCount, 1.0f);
  const auto shard = [&](std::int64_t first, std::int64_t count) {
    return onepass::Optimizer{onepass::AdamW{},
                              std::vector<onepass::Parameter>{{.name = "weights",
                                                               .value = {weights.data() + first, count},
                                                               .grad = {grad.data() + first, count},
                                                               .first = first}}};
  };
  const std::filesystem::path rank0 = folder / "rank0.safetensors", rank1 = folder / "rank1.safetensors";
  for (const std::int64_t rank : {0, 1}) {
    onepass::Optimizer half = shard(rank * 32, 32);
    half.step();
    onepass::save(rank == 0 ? rank0 : rank1, half);
  }
  weights.assign(kCount, 0.0f);
  onepass::Optimizer whole = shard(0, kCount), last = shard(32, 32);
  // [shards]
  onepass::load({rank0, rank1}, whole);                   // two shards make the whole
  onepass::load({rank0, rank1}, last, {.shards = true});  // and any part of it
  // [/shards]
  return whole.steps() == 1 && weights[0] != 0.0f && weights[kCount - 1] == weights[0];
}

}  // namespace

int main() {
  const std::filesystem::path folder = std::filesystem::temp_directory_path() / "onepass-example-checkpoint";
  std::filesystem::create_directories(folder);
  const bool works = resume(folder) && convert(folder) && shards(folder);
  std::filesystem::remove_all(folder);
  std::printf("%s\n", works ? "the same bits, from one file and from two" : "DIFFERENT BITS");
  return works ? EXIT_SUCCESS : EXIT_FAILURE;
}
