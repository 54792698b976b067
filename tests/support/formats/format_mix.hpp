// format_mix.hpp - parameters in several formats for one optimizer, on any device.
#pragma once

#include <algorithm>
#include <map>
#include <string>
#include <vector>

#include "support/formats/format_model.hpp"
#include "support/formats/format_state.hpp"
#include "support/rules.hpp"

namespace onepass::test {

/// The bytes of all streams of each parameter, by the parameter's name.
using BytesByName = std::map<std::string, std::vector<std::byte>>;

/// Tensors of every format that goes with another one's options: float32, and 16 bits with gradients of
/// either type.
class MixedFormats {
 public:
  MixedFormats(const FormatCase& with, Device device) : low_(with.low()), wide_(with.wide()) {
    for (const FormatCase& format : format_cases()) {
      if (format.storage != (format.param == DType::float32 ? wide_ : low_)) continue;
      names_.push_back(format.name);
      models_.emplace_back(format, device, std::vector<std::int64_t>{100, 0, 1, 515, 33});
    }
  }

  /// Tensors of the given formats, each with its own storage.
  MixedFormats(const std::vector<FormatCase>& formats, Device device) {
    for (const FormatCase& format : formats) {
      names_.push_back(format.name);
      own_.push_back(format.storage);
      models_.emplace_back(format, device, std::vector<std::int64_t>{100, 0, 1, 515, 33});
    }
  }

  /// All parameters, ordered so that neighbours differ in format.
  [[nodiscard]] std::vector<Parameter> parameters() const {
    std::vector<Parameter> all;
    for (std::size_t i = 0; i < models_[0].size(); ++i) {
      for (std::size_t m = 0; m < models_.size(); ++m) {
        all.push_back(models_[m].parameters()[i]);
        all.back().name = name(m, i);
        if (!own_.empty()) all.back().storage = own_[m];
      }
    }
    return all;
  }

  /// Takes four steps with each optimizer and returns the bytes that result.
  [[nodiscard]] BytesByName after_steps(std::vector<Optimizer>& optimizers) const {
    for (int step = 1; step <= 4; ++step) {
      for (const FormatModel& model : models_) model.draw(step, 30);
      for (Optimizer& optimizer : optimizers) optimizer.step();
    }
    std::map<std::string, SavedParameter> saved;
    for (Optimizer& optimizer : optimizers) {
      for (SavedParameter& one : optimizer.state_dict().parameters) saved[one.name] = one;
    }
    BytesByName bytes;
    for (std::size_t m = 0; m < models_.size(); ++m) {
      for (std::size_t i = 0; i < models_[m].size(); ++i) {
        bytes[name(m, i)] = all_bytes(models_[m].value(i), saved.at(name(m, i)));
      }
    }
    return bytes;
  }

  [[nodiscard]] Options options() const {
    return {.chunk_size = 64, .storage = low_, .float32_storage = wide_, .seed = 7};
  }
  /// Options of an optimizer for one parameter: it refuses a storage that is for no parameter.
  [[nodiscard]] Options options_for(const Parameter& parameter) const {
    Options options = this->options();
    (parameter.value.dtype == DType::float32 ? options.storage : options.float32_storage) = {};
    return options;
  }

 private:
  [[nodiscard]] std::string name(std::size_t model, std::size_t tensor) const {
    return names_[model] + "." + tensor_name(static_cast<int>(tensor));
  }

  Storage low_, wide_;
  std::vector<Storage> own_;  ///< Of each format; empty if the optimizer's is used.
  std::vector<std::string> names_;
  std::vector<FormatModel> models_;
};

/// The bytes after four steps of one optimizer that has all parameters.
inline BytesByName together(const RuleCase& rule, const FormatCase& format, Device device) {
  const MixedFormats mix(format, device);
  std::vector<Optimizer> one;
  one.push_back(rule.make(mix.parameters(), mix.options()));
  return mix.after_steps(one);
}

}  // namespace onepass::test
