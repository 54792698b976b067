// model.cpp - allocates and fills a model.
#include "bench/data/model.hpp"

#include <algorithm>
#include <array>
#include <string>

#include "onepass/storage/bfloat16.hpp"
#include "onepass/storage/float16.hpp"
#include "onepass/storage/formats.hpp"
#include "step/table.hpp"

namespace onepass::bench {
namespace {

constexpr std::size_t kCacheLine = 64;
/// Streams at equal offsets within a page would evict each other from a cache, so gradients begin an odd
/// number of pages and cache lines after the start of their memory.
constexpr std::size_t kGradSkew = 3 * 4096 + 5 * kCacheLine;

std::size_t padded(std::size_t bytes) { return (bytes + kCacheLine - 1) / kCacheLine * kCacheLine; }

/// Returns a number uniform in (-1, 1) that depends only on element and seed (splitmix64).
float uniform(std::uint64_t element, std::uint64_t seed) {
  std::uint64_t x = (element + 1) * 0x9E3779B97F4A7C15u + seed;
  x = (x ^ (x >> 30)) * 0xBF58476D1CE4E5B9u;
  x = (x ^ (x >> 27)) * 0x94D049BB133111EBu;
  return static_cast<float>((x ^ (x >> 31)) >> 40) * 0x1p-23f - 0x1.fffffep-1f;
}

void store(DType dtype, float value, std::byte* to) {
  const auto put = [to](auto element) {
    std::copy_n(reinterpret_cast<const std::byte*>(&element), sizeof element, to);
  };
  if (dtype == DType::float32) {
    put(value);
  } else if (dtype == DType::bfloat16) {
    put(storage::BFloat16::encode(value));
  } else {
    put(storage::Float16::encode(value));
  }
}

/// Fills tensors one after the other with random numbers that repeat after a prime number of elements. The
/// repetitions are copied: computing all numbers of a large model would take longer than its whole
/// measurement on a GPU.
class Numbers {
 public:
  /// `most` is the number of elements that will be filled in all.
  Numbers(DType dtype, std::uint64_t seed, std::int64_t most) {
    constexpr std::int64_t kPeriod = 1'048'573;
    const auto count = static_cast<std::size_t>(std::min(kPeriod, most));
    const std::size_t size = size_of(dtype);
    bytes_.resize(count * size);
    for (std::size_t i = 0; i < count; ++i) store(dtype, uniform(i, seed), bytes_.data() + i * size);
  }

  void fill(const Tensor& tensor) {
    auto* to = static_cast<std::byte*>(tensor.data);
    for (std::size_t left = tensor.bytes(); left > 0;) {
      const std::size_t piece = std::min(left, bytes_.size() - next_);
      copy({tensor.device, to}, {Device::cpu(), bytes_.data() + next_}, piece);
      next_ = (next_ + piece) % bytes_.size();
      to += piece;
      left -= piece;
    }
  }

 private:
  std::vector<std::byte> bytes_;
  std::size_t next_ = 0;  ///< Offset in bytes_ where the next tensor begins.
};

struct Arena {
  DType dtype;
  std::size_t skew;
  std::uint64_t seed;
};

DeviceBuffer lay_out(const Layout& layout, const Arena& arena, Device device, std::vector<Tensor>& tensors) {
  std::size_t bytes = arena.skew;
  for (const std::int64_t numel : layout.tensors) {
    bytes += padded(static_cast<std::size_t>(numel) * size_of(arena.dtype));
  }
  DeviceBuffer memory(device, bytes);
  std::byte* next = memory.as<std::byte>() + arena.skew;
  Numbers numbers(arena.dtype, arena.seed, layout.parameters());
  for (const std::int64_t numel : layout.tensors) {
    tensors.emplace_back(next, arena.dtype, numel, device);
    numbers.fill(tensors.back());
    next += padded(tensors.back().bytes());
  }
  return memory;
}

}  // namespace

Model::Model(const Layout& layout, const FormatChoice& format, Device device)
    : param_memory_(lay_out(layout, {format.param, 0, 1}, device, params_)),
      grad_memory_(lay_out(layout, {format.grad, kGradSkew, 2}, device, grads_)) {}

std::vector<Parameter> Model::parameters() const {
  std::vector<Parameter> parameters;
  for (std::size_t t = 0; t < params_.size(); ++t) {
    parameters.push_back({.name = tensor_name(t), .value = params_[t], .grad = grads_[t]});
  }
  return parameters;
}

std::string tensor_name(std::size_t tensor) { return std::string(1, 't').append(std::to_string(tensor)); }

ElementBytes element_bytes(const FormatChoice& format) {
  constexpr std::array kRemainder{0, 4, 2, 1};
  const storage::StateLayout states = storage::layout_of(format.storage.states);
  const auto size = [](DType dtype) { return static_cast<int>(size_of(dtype)); };
  return {.param = size(format.param),
          .grad = size(format.grad),
          .state = size(states.element),
          .remainder = kRemainder[static_cast<std::size_t>(format.storage.master)],
          .has_scales = states.has_scales,
          .reads_param = format.storage.master != Master::float32};
}

std::vector<TensorStreams> streams_of(const Model& model, const FormatChoice& format, Optimizer& optimizer) {
  static_assert(TensorStreams::kMaxStates == static_cast<int>(step::kMaxStates));
  const ElementBytes bytes = element_bytes(format);
  const auto at = [&](const Parameter& parameter, std::string_view stream) {
    return static_cast<std::byte*>(optimizer.state(parameter.name, stream).data);
  };
  std::vector<TensorStreams> streams;
  for (const Parameter& parameter : model.parameters()) {
    TensorStreams one;
    one.numel = parameter.value.numel;
    one.param = static_cast<std::byte*>(parameter.value.data);
    one.grad = static_cast<std::byte*>(parameter.grad.data);
    if (bytes.remainder > 0) one.remainder = at(parameter, bytes.remainder == 4 ? "master" : "remainder");
    const std::span<const char* const> states = optimizer.state_names();
    for (std::size_t s = 0; s < states.size(); ++s) {
      one.states[s] = at(parameter, states[s]);
      if (bytes.has_scales) one.scales[s] = one.states[s] + step::scales_at(one.numel);
    }
    streams.push_back(one);
  }
  return streams;
}

double total_bytes(std::span<const StreamBytes> streams) {
  double total = 0.0;
  for (const StreamBytes& stream : streams) total += stream.bytes;
  return total;
}

}  // namespace onepass::bench
