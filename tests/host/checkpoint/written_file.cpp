// written_file.cpp - writes a checkpoint, and prints what a reader must find in it: one line for each tensor,
// its key and its numbers, decoded. safetensors_test.py reads both.
#include <cstdio>
#include <filesystem>

#include "support/formats/format_model.hpp"
#include "support/formats/format_state.hpp"

namespace {

using namespace onepass;
using namespace onepass::test;

void print(const std::string& key, const std::vector<float>& numbers) {
  std::printf("%s", key.c_str());
  for (const float one : numbers) std::printf(" %a", static_cast<double>(one));
  std::printf("\n");
}

void write(const std::filesystem::path& path, const char* format_name) {
  const FormatCase& format = format_case(format_name);
  const FormatModel model(format, Device::cpu(), {70, 0, 1});
  Optimizer optimizer{AdamW{.lr = 0.25},
                      model.parameters(),
                      {.storage = format.low(),
                       .float32_storage = format.wide(),
                       .ema = EMA{.dtype = DType::bfloat16},
                       .accumulates_gradients = true}};
  for (int step = 1; step <= 3; ++step) {
    model.draw_finite(step);
    optimizer.accumulate();
    if (step < 3) optimizer.step();
  }
  save(path, optimizer, {.metadata = {{"note", "\xc3\xa9 \"quoted\""}}});
  const StateDict dict = optimizer.state_dict();
  for (std::size_t t = 0; t < model.size(); ++t) {
    const SavedParameter& saved = dict.parameters[t];
    const std::vector<float> value = model.value(t).floats();
    print(saved.name, value);
    if (format.storage.master != Master::none)
      print(saved.name + "/with_rest", decoded_param(format, model.value(t), saved));
    for (const SavedState& state : saved.states) {
      if (state.name != "remainder") print(saved.name + "/" + state.name, decoded_state(state, value.size()));
    }
    std::vector<float> sum(value.size());
    for (std::size_t i = 0; i < sum.size(); ++i)
      sum[i] = decoded(DType::float32, saved.gradient_sum.data(), i);
    print(saved.name + "/gradient_sum", sum);
  }
}

}  // namespace

int main(int count, char** arguments) {
  if (count != 3) return 2;
  write(arguments[1], arguments[2]);
  return 0;
}
