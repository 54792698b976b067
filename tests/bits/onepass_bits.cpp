// onepass_bits.cpp - takes 100 steps of every rule in every format through the public API, and compares a
// hash of the resulting bits with hashes.txt. A change that is meant to leave every result alone must leave
// that file alone.
//
//   onepass_bits hashes.txt [cpu | cuda:0]    compares; exits 1 if a hash differs or is missing, 77 if there
//                                             is no such device. With ONEPASS_TEST_SAMPLE=N,
//                                             AdamW and one in N of the others' formats
//   onepass_bits --write hashes.txt           writes the file anew, with the CPU's bits
#include <algorithm>
#include <cstdint>
#include <cstdio>
#include <cstring>
#include <fstream>
#include <map>
#include <set>
#include <string>
#include <string_view>
#include <vector>

#include "onepass/onepass.hpp"
#include "support/rule_settings.hpp"
#include "support/sample.hpp"

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
  const std::size_t each = dtype == DType::float32 ? sizeof(float) : sizeof(std::uint16_t);
  std::vector<std::byte> bytes(values.size() * each);
  for (std::size_t i = 0; i < values.size(); ++i) {
    const auto wide = __builtin_bit_cast(std::uint32_t, values[i]);
    const std::uint16_t narrow =
        dtype == DType::float16 ? float16_of(values[i]) : static_cast<std::uint16_t>(wide >> 16);
    const void* from = dtype == DType::float32 ? static_cast<const void*>(&wide) : &narrow;
    std::memcpy(bytes.data() + i * each, from, each);
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

std::string trained(Model& model, Optimizer& optimizer) {
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

/// A rule as hashes.txt names it. With `around`, everything that can stand around a step is on.
struct BitsCase {
  std::string name;
  Rule rule;
  bool around = false;
};

/// Cases whose hyperparameters are not those of the rule's options in tests/reference.
std::vector<BitsCase> cases_of_their_own() {
  return {{"SGD", SGD{.lr = 0.01}},
          {"SGD-momentum", SGD{.lr = 0.01, .momentum = 0.9, .dampening = 0.25}},
          {"SGD-nesterov", SGD{.lr = 0.01, .momentum = 0.9, .nesterov = true}},
          {"RMSProp", RMSProp{.lr = 0.003}},
          {"RMSProp-momentum", RMSProp{.lr = 0.003, .momentum = 0.8}},
          {"RMSProp-centered", RMSProp{.lr = 0.003, .centered = true}},
          {"RMSProp-centered-momentum", RMSProp{.lr = 0.003, .momentum = 0.8, .centered = true}},
          {"AdamW-around", AdamW{.lr = 0.002, .l1 = 0.001}, true}};
}

/// "AdamW" for the option "plain", "AdamW-amsgrad" for the option "amsgrad".
std::string case_name(std::string_view rule, const std::string& option) {
  return std::string(rule) + (option == "plain" ? "" : "-" + option);
}

/// The cases above, and every option of every rule that has no case of its own without `around`.
std::vector<BitsCase> all_cases() {
  std::vector<BitsCase> cases = cases_of_their_own();
  std::set<std::string_view> settled;
  for (const BitsCase& one : cases) {
    if (!one.around) settled.insert(one.rule.name());
  }
  for (const Rule& rule : library_rules()) {
    if (settled.contains(rule.name())) continue;
    for (const reference::Option& option : reference::reference_of(rule.name()).options()) {
      cases.push_back({case_name(rule.name(), option.name), test::rule_with(rule.name(), option.settings)});
    }
  }
  for (BitsCase& one : cases) one.rule.set("weight_decay", 0.125);
  return cases;
}

using Lines = std::map<std::string, std::string>;

/// Stands for the hash of a format that a sample leaves out.
constexpr const char* kLeftOut = "";

/// The hashes of one case in every format that the sample takes. AdamW is in every format.
void add_case(Lines& lines, const BitsCase& one, Device device, Isa isa, test::Sample& sample) {
  for (const StorageCase& how : kStorages) {
    if (!sample.takes_next() && one.rule.name() != "AdamW") {
      lines[one.name + " " + how.name] = kLeftOut;
      continue;
    }
    Model model(device, how);
    Options options{.chunk_size = 128, .isa = isa, .storage = how.storage, .seed = 7};
    if (one.around) options.ema = EMA{.decay = 0.9, .warmup = true, .dtype = DType::bfloat16};
    Optimizer optimizer(one.rule, model.parameters(), options);
    if (one.around) {
      optimizer.clip_grad_norm(0.5);
      optimizer.clip_grad_value(0.03);
      optimizer.set_schedule(CosineAnnealingLR{.T_max = 150});
    }
    lines[one.name + " " + how.name] = trained(model, optimizer);
  }
}

Lines all_lines(Device device, Isa isa) {
  Lines lines;
  test::Sample sample;
  for (const BitsCase& one : all_cases()) add_case(lines, one, device, isa, sample);
  return lines;
}

Lines read(const char* path) {
  std::ifstream file(path);
  Lines lines;
  for (std::string rule, format, hash; file >> rule >> format >> hash;) lines[rule + " " + format] = hash;
  return lines;
}

void write(const char* path, const Lines& lines) {
  std::ofstream file(path);
  for (const auto& [name, hash] : lines) file << name << ' ' << hash << '\n';
}

/// Prints one sentence for each result that differs or is missing in one of both, and counts them.
int compare(const Lines& expected, const Lines& found, const std::string& where) {
  int same = 0, wrong = 0, left_out = 0;
  bool lacks_line = false;
  for (const auto& [name, hash] : found) {
    const auto known = expected.find(name);
    if (known != expected.end() && (hash == kLeftOut || known->second == hash)) {
      ++(hash == kLeftOut ? left_out : same);
      continue;
    }
    ++wrong;
    lacks_line = lacks_line || known == expected.end();
    std::printf("%s on %s: the bits are %s, but hashes.txt has %s\n", name.c_str(), where.c_str(),
                hash.c_str(), known == expected.end() ? "no such line" : known->second.c_str());
  }
  for (const auto& [name, hash] : expected) {
    if (found.contains(name)) continue;
    ++wrong;
    std::printf("%s: hashes.txt has this line, but no option of a rule has this name\n", name.c_str());
  }
  if (lacks_line) {
    std::printf("If you added a rule, write its lines with: onepass_bits --write tests/bits/hashes.txt\n");
  }
  std::printf("%s: %d of %zu results have the committed bits, a sample leaves out %d\n", where.c_str(), same,
              expected.size(), left_out);
  return wrong;
}

int compare_all(const Lines& expected, Device device) {
  if (device.is_cuda()) return compare(expected, all_lines(device, Isa::best), "cuda:0");
  int wrong = 0;
  for (const Isa isa : {Isa::baseline, Isa::avx2, Isa::avx512, Isa::avx512_bf16}) {
    if (isa_available(isa)) wrong += compare(expected, all_lines(device, isa), std::string(to_string(isa)));
  }
  return wrong;
}

}  // namespace

int main(int count, char** arguments) {
  const std::vector<std::string_view> given(arguments + 1, arguments + count);
  if (given.size() == 2 && given[0] == "--write") {
    write(arguments[2], all_lines(Device::cpu(), Isa::best));
    return 0;
  }
  if (given.empty() || given.size() > 2 || given[0].starts_with("-")) {
    std::fprintf(stderr,
                 "usage: onepass_bits hashes.txt [cpu|cuda:0]\n       onepass_bits --write hashes.txt\n");
    return 2;
  }
  const bool on_cuda = given.size() == 2 && given[1] == "cuda:0";
  if (on_cuda && !cuda_available()) {
    std::printf("skipped: there is no CUDA device here\n");
    return kSkipped;
  }
  const Device device = on_cuda ? Device::cuda(0) : Device::cpu();
  return compare_all(read(arguments[1]), device) == 0 ? 0 : 1;
}
