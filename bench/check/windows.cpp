// windows.cpp - chooses windows and copies their bytes.
#include "bench/check/windows.hpp"

#include <algorithm>
#include <numeric>
#include <random>

#include "onepass/storage/quantized8.hpp"

namespace onepass::bench {
namespace {

constexpr std::int64_t kAll = 1 << 18;      ///< Models up to this many elements are compared whole.
constexpr std::int64_t kWidth = 256;        ///< Elements of a window.
constexpr std::int64_t kBorder = 8 * 1024;  ///< First element of a tensor's second chunk on the CPU.
constexpr std::size_t kTensors = 64, kRandom = 64;

std::vector<Part> around_borders(std::span<const std::int64_t> tensors) {
  std::vector<Part> windows;
  const std::size_t stride = std::max<std::size_t>(tensors.size() / kTensors, 1);
  const auto add = [&](std::size_t tensor, std::int64_t begin) {
    begin = std::max<std::int64_t>(begin, 0) / 64 * 64;
    windows.push_back({tensor, begin, std::min(begin + kWidth, tensors[tensor])});
  };
  for (std::size_t t = 0; t < tensors.size(); t += stride) {
    add(t, 0);
    add(t, tensors[t] - kWidth + 64);
    if (tensors[t] > kBorder) add(t, kBorder - kWidth / 2);
  }
  add(tensors.size() - 1, tensors.back() - kWidth + 64);
  std::mt19937_64 random(7);
  for (std::size_t i = 0; i < kRandom; ++i) {
    const std::size_t t = random() % tensors.size();
    add(t, static_cast<std::int64_t>(random() % static_cast<std::uint64_t>(tensors[t])));
  }
  return windows;
}

std::vector<std::byte> copied(const std::byte* from, std::size_t count, Device device) {
  std::vector<std::byte> bytes(from == nullptr ? 0 : count);
  copy({Device::cpu(), bytes.data()}, {device, from}, bytes.size());
  return bytes;
}

}  // namespace

std::vector<Part> choose_windows(std::span<const std::int64_t> tensors) {
  if (std::accumulate(tensors.begin(), tensors.end(), std::int64_t{0}) > kAll) return around_borders(tensors);
  std::vector<Part> windows;
  for (std::size_t t = 0; t < tensors.size(); ++t) windows.push_back({t, 0, tensors[t]});
  return windows;
}

Bytes take(const TensorStreams& streams, const Part& window, const ElementBytes& bytes, Device device) {
  const auto part = [&](const std::byte* stream, int size) {
    const std::byte* const from = stream == nullptr ? nullptr : stream + window.begin * size;
    return copied(from, static_cast<std::size_t>((window.end - window.begin) * size), device);
  };
  Bytes taken{part(streams.param, bytes.param),
              part(streams.remainder, bytes.remainder),
              part(streams.grad, bytes.grad),
              {},
              {}};
  for (std::size_t s = 0; s < taken.states.size(); ++s) {
    taken.states[s] = part(streams.states[s], bytes.state);
    if (streams.scales[s] == nullptr) continue;
    const std::int64_t blocks = (window.end - window.begin + storage::kBlock - 1) / storage::kBlock;
    constexpr std::size_t kScale = sizeof(storage::Quantized8::Scale::Element);
    const auto before = static_cast<std::size_t>(window.begin / storage::kBlock);
    taken.scales[s] =
        copied(streams.scales[s] + before * kScale, static_cast<std::size_t>(blocks) * kScale, device);
  }
  return taken;
}

}  // namespace onepass::bench
