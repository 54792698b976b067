// onepass_bits.cpp - takes 100 steps of every rule in every format through the public API, and compares a
// hash of the resulting bits with hashes.txt. A change that is meant to leave every result alone must leave
// that file alone.
//
//   onepass_bits hashes.txt [cpu | cuda:0]    compares; exits 1 where a hash differs, 77 where there is no
//   such device onepass_bits --print [cpu | cuda:0]       prints the lines that hashes.txt should have
#include <algorithm>
#include <cstdint>
#include <cstdio>
#include <cstring>
#include <fstream>
#include <map>
#include <string>
#include <string_view>
#include <vector>

#include "onepass/onepass.hpp"

namespace {

using namespace onepass;

constexpr int kSteps = 100, kSkipped = 77;
constexpr std::int64_t kSizes[] = {1, 37, 300};

struct StorageCase {
  const char* name;
  DType param;
  DType grad;
  Storage storage;
};
constexpr StorageCase kStorages[] = {
    {"float32", DType::float32, DType::float32, {}},
    {"bf16", DType::bfloat16, DType::bfloat16, {}},
    {"bf16-float32-grad", DType::bfloat16, DType::float32, {}},
    {"bf16-stochastic", DType::bfloat16, DType::bfloat16, {.rounding = Rounding::stochastic}},
    {"all-bf16", DType::bfloat16, DType::bfloat16, {.states = States::bfloat16}},
    {"all-bf16-stochastic",
     DType::bfloat16,
     DType::bfloat16,
     {.states = States::bfloat16, .rounding = Rounding::stochastic}},
    {"bf16-master", DType::bfloat16, DType::bfloat16, {.master = Master::float32}},
    {"split", DType::bfloat16, DType::bfloat16, {.master = Master::split}},
    {"split-float32-grad", DType::bfloat16, DType::float32, {.master = Master::split}},
    {"compact",
     DType::bfloat16,
     DType::bfloat16,
     {.master = Master::remainder8, .states = States::quantized8}},
    {"f16-master", DType::float16, DType::float16, {.master = Master::float32}},
};

/// Small integers times a power of two: every type holds them exactly.
class Numbers {
 public:
  int next() {
    state_ = state_ * 6364136223846793005u + 1442695040888963407u;
    return static_cast<int>((state_ >> 33) % 255) - 127;
  }

 private:
  std::uint64_t state_ = 20;
};

std::uint16_t float16_of(float x) {
  const auto bits = __builtin_bit_cast(std::uint32_t, x);
  if ((bits & 0x7fffffffu) == 0) return static_cast<std::uint16_t>(bits >> 16);
  const std::uint32_t exponent = (bits >> 23 & 0xffu) - 127 + 15;
  return static_cast<std::uint16_t>((bits >> 16 & 0x8000u) | exponent << 10 | (bits >> 13 & 0x3ffu));
}

std::vector<std::byte> encoded(const std::vector<float>& values, DType dtype) {
  std::vector<std::byte> bytes(values.size() * size_of(dtype));
  for (std::size_t i = 0; i < values.size(); ++i) {
    const auto wide = __builtin_bit_cast(std::uint32_t, values[i]);
    const std::uint16_t narrow =
        dtype == DType::float16 ? float16_of(values[i]) : static_cast<std::uint16_t>(wide >> 16);
    const void* from = dtype == DType::float32 ? static_cast<const void*>(&wide) : &narrow;
    std::memcpy(bytes.data() + i * size_of(dtype), from, size_of(dtype));
  }
  return bytes;
}

/// FNV-1a, 64 bits.
class Hash {
 public:
  void add(const void* data, std::size_t count) {
    for (std::size_t i = 0; i < count; ++i) {
      value_ = (value_ ^ static_cast<const unsigned char*>(data)[i]) * 0x100000001b3u;
    }
  }
  [[nodiscard]] std::string text() const {
    char text[17];
    std::snprintf(text, sizeof text, "%016llx", static_cast<unsigned long long>(value_));
    return text;
  }

 private:
  std::uint64_t value_ = 0xcbf29ce484222325u;
};

class Model {
 public:
  Model(Device device, const StorageCase& how) : device_(device), how_(how) {
    for (const std::int64_t numel : kSizes) {
      const auto count = static_cast<std::size_t>(numel);
      values_.emplace_back(device, count * size_of(how.param));
      gradients_.emplace_back(device, count * size_of(how.grad));
      write(values_.back(), drawn(count, 0x1p-6f), how.param);
    }
  }
  [[nodiscard]] std::vector<Parameter> parameters() const {
    static const char* const names[] = {"p0", "p1", "p2"};
    std::vector<Parameter> parameters;
    for (std::size_t i = 0; i < values_.size(); ++i) {
      parameters.push_back({.name = names[i],
                            .value = Tensor{values_[i].data(), how_.param, kSizes[i], device_},
                            .grad = Tensor{gradients_[i].data(), how_.grad, kSizes[i], device_}});
    }
    return parameters;
  }
  void draw_gradients() {
    for (std::size_t i = 0; i < gradients_.size(); ++i) {
      write(gradients_[i], drawn(static_cast<std::size_t>(kSizes[i]), 0x1p-10f), how_.grad);
    }
  }
  void add_to(Hash& hash) const {
    for (const DeviceBuffer& value : values_) {
      std::vector<std::byte> bytes(value.bytes());
      copy({Device::cpu(), bytes.data()}, {device_, value.data()}, bytes.size());
      hash.add(bytes.data(), bytes.size());
    }
  }

 private:
  std::vector<float> drawn(std::size_t count, float unit) {
    std::vector<float> values(count);
    for (float& value : values) value = static_cast<float>(numbers_.next()) * unit;
    return values;
  }
  void write(const DeviceBuffer& to, const std::vector<float>& values, DType dtype) const {
    const std::vector<std::byte> bytes = encoded(values, dtype);
    copy({device_, to.data()}, {Device::cpu(), bytes.data()}, bytes.size());
  }

  Device device_;
  StorageCase how_;
  Numbers numbers_;
  std::vector<DeviceBuffer> values_, gradients_;
};

template <class AnyOptimizer>
std::string trained(Model& model, AnyOptimizer& optimizer) {
  for (int step = 0; step < kSteps; ++step) {
    model.draw_gradients();
    optimizer.step();
  }
  Hash hash;
  model.add_to(hash);
  for (const SavedParameter& parameter : optimizer.state_dict().parameters) {
    for (const SavedState& state : parameter.states) {
      hash.add(state.name.data(), state.name.size());
      hash.add(state.bytes.data(), state.bytes.size());
    }
  }
  return hash.text();
}

using Lines = std::map<std::string, std::string>;

/// One rule in every format; with `around`, also all that can stand around a step.
template <class Rule>
void add_rule(Lines& lines, const std::string& name, Rule rule, Device device, Isa isa, bool around = false) {
  rule.weight_decay = 0.125;
  for (const StorageCase& how : kStorages) {
    Model model(device, how);
    Options options{.chunk_size = 128, .isa = isa, .storage = how.storage, .seed = 7};
    if (around) options.ema = EMA{.decay = 0.9, .warmup = true, .dtype = DType::bfloat16};
    Optimizer optimizer{rule, model.parameters(), options};
    if (around) {
      optimizer.clip_grad_norm(0.5);
      optimizer.clip_grad_value(0.03);
      optimizer.set_schedule(CosineAnnealingLR{.T_max = 150});
    }
    lines[name + " " + how.name] = trained(model, optimizer);
  }
}

Lines all_lines(Device device, Isa isa) {
  Lines lines;
  add_rule(lines, "SGD", SGD{.lr = 0.01}, device, isa);
  add_rule(lines, "SGD-momentum", SGD{.lr = 0.01, .momentum = 0.9, .dampening = 0.25}, device, isa);
  add_rule(lines, "SGD-nesterov", SGD{.lr = 0.01, .momentum = 0.9, .nesterov = true}, device, isa);
  add_rule(lines, "RMSProp", RMSProp{.lr = 0.003}, device, isa);
  add_rule(lines, "RMSProp-momentum", RMSProp{.lr = 0.003, .momentum = 0.8}, device, isa);
  add_rule(lines, "RMSProp-centered", RMSProp{.lr = 0.003, .centered = true}, device, isa);
  add_rule(lines, "RMSProp-centered-momentum", RMSProp{.lr = 0.003, .momentum = 0.8, .centered = true},
           device, isa);
  add_rule(lines, "Adam", Adam{.lr = 0.002}, device, isa);
  add_rule(lines, "Adam-amsgrad", Adam{.lr = 0.002, .amsgrad = true}, device, isa);
  add_rule(lines, "AdamW", AdamW{.lr = 0.002}, device, isa);
  add_rule(lines, "AdamW-amsgrad", AdamW{.lr = 0.002, .amsgrad = true}, device, isa);
  add_rule(lines, "AdamW-around", AdamW{.lr = 0.002, .l1 = 0.001}, device, isa, true);
  return lines;
}

Lines read(const char* path) {
  std::ifstream file(path);
  Lines lines;
  for (std::string rule, format, hash; file >> rule >> format >> hash;) lines[rule + " " + format] = hash;
  return lines;
}

/// Prints how the lines differ, and counts them.
int compare(const Lines& expected, const Lines& found, std::string_view where) {
  int wrong = 0;
  for (const auto& [name, hash] : found) {
    const auto known = expected.find(name);
    if (known != expected.end() && known->second == hash) continue;
    ++wrong;
    std::printf("%s on %.*s: the bits are %s, but hashes.txt has %s\n", name.c_str(),
                static_cast<int>(where.size()), where.data(), hash.c_str(),
                known == expected.end() ? "no such line" : known->second.c_str());
  }
  wrong += static_cast<int>(std::max(expected.size(), found.size()) - found.size());
  std::printf("%.*s: %zu of %zu results have the committed bits\n", static_cast<int>(where.size()),
              where.data(),
              found.size() - static_cast<std::size_t>(std::min<int>(wrong, static_cast<int>(found.size()))),
              expected.size());
  return wrong;
}

}  // namespace

int main(int count, char** arguments) {
  if (count < 2) {
    std::fprintf(stderr, "usage: onepass_bits hashes.txt|--print [cpu|cuda:0]\n");
    return 2;
  }
  const bool on_cuda = count > 2 && std::string_view(arguments[2]) == "cuda:0";
  if (on_cuda && !cuda_available()) {
    std::printf("skipped: there is no CUDA device here\n");
    return kSkipped;
  }
  const Device device = on_cuda ? Device::cuda(0) : Device::cpu();
  if (std::string_view(arguments[1]) == "--print") {
    for (const auto& [name, hash] : all_lines(device, Isa::best)) {
      std::printf("%s %s\n", name.c_str(), hash.c_str());
    }
    return 0;
  }
  const Lines expected = read(arguments[1]);
  int wrong = expected.empty() ? 1 : 0;
  if (on_cuda) {
    wrong += compare(expected, all_lines(device, Isa::best), "cuda:0");
  } else {
    for (const Isa isa : {Isa::baseline, Isa::avx2, Isa::avx512, Isa::avx512_bf16}) {
      if (isa_available(isa)) wrong += compare(expected, all_lines(device, isa), to_string(isa));
    }
  }
  return wrong == 0 ? 0 : 1;
}
