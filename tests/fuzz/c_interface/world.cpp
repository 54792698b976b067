// world.cpp - what a refused call must leave as it was.
#include "fuzz/c_interface/world.hpp"

namespace onepass::fuzz {
namespace {

void add(std::string& text, const void* bytes, std::int64_t count) {
  if (count > 0) text.append(static_cast<const char*>(bytes), static_cast<std::size_t>(count));
}

void add_groups(std::string& text, const onepass_dict* dict, std::int64_t groups) {
  for (std::int64_t g = 0; g < groups; ++g) {
    const char* rule = nullptr;
    std::int64_t count = 0;
    require(onepass_dict_group(dict, g, &rule, &count) == ONEPASS_OK, "a group of a dict is not read");
    for (std::int64_t i = 0; i < count; ++i) {
      onepass_text one{};
      require(onepass_dict_hyperparameter(dict, g, i, &one) == ONEPASS_OK, "a hyperparameter is not read");
      text.append(one.name).append("=").append(one.text).append(",");
    }
  }
}

void add_parameters(std::string& text, const onepass_dict* dict, std::int64_t parameters) {
  for (std::int64_t p = 0; p < parameters; ++p) {
    onepass_saved_parameter one{};
    one.size = sizeof one;
    require(onepass_dict_parameter(dict, p, &one) == ONEPASS_OK, "a parameter of a dict is not read");
    text.append(one.name);
    add(text, &one.step, sizeof one.step);
    add(text, one.gradient_sum, one.gradient_sum_bytes);
    for (std::int64_t i = 0; i < one.state_count; ++i) {
      onepass_saved_state state{};
      state.size = sizeof state;
      require(onepass_dict_state(dict, p, i, &state) == ONEPASS_OK, "a state of a dict is not read");
      add(text, state.bytes, state.byte_count);
    }
  }
}

}  // namespace

bool is_taken(int status, Trace& trace) {
  if (status == ONEPASS_OK) return true;
  const std::string sentence = onepass_last_error();
  trace.add(" (status " + std::to_string(status) + ": " + sentence + ")");
  require(status >= ONEPASS_OK && status <= ONEPASS_NONFINITE_GRADIENT, "there is no such status");
  require(status != ONEPASS_OTHER_ERROR && status != ONEPASS_CUDA_ERROR, "the failure has no name");
  require(sentence.starts_with("onepass: "), "the refusal does not begin with \"onepass: \"");
  return false;
}

std::string fingerprint(onepass_optimizer* optimizer) {
  onepass_dict* made = nullptr;
  require(onepass_state_dict(optimizer, nullptr, &made) == ONEPASS_OK, "a state dict is not made");
  const OwnedDict dict(made);
  onepass_dict_counts counts{};
  counts.size = sizeof counts;
  require(onepass_dict_get_counts(made, &counts) == ONEPASS_OK, "the counts of a dict are not read");
  std::string text;
  add(text, &counts, sizeof counts);
  add_groups(text, made, counts.group_count);
  add_parameters(text, made, counts.parameter_count);
  onepass_gradient_handling handling{};
  handling.size = sizeof handling;
  require(onepass_get_gradient_handling(optimizer, &handling) == ONEPASS_OK, "the handling is not read");
  if (handling.clip_norm != nullptr) add(text, handling.clip_norm, sizeof *handling.clip_norm);
  if (handling.loss_scaler != nullptr) add(text, handling.loss_scaler, sizeof *handling.loss_scaler);
  add(text, &handling.clip_value, sizeof handling.clip_value);
  return text;
}

}  // namespace onepass::fuzz
