// model.hpp - tensors, rules and settings that the tests give to the C interface and to the library.
#pragma once

#include <gtest/gtest.h>

#include <bit>
#include <cmath>
#include <cstddef>
#include <cstdint>
#include <memory>
#include <span>
#include <string>
#include <vector>

#include "c/onepass.h"
#include "onepass/onepass.hpp"

namespace onepass::test {

struct Destroy {
  void operator()(onepass_optimizer* optimizer) const { onepass_destroy(optimizer); }
};
using Handle = std::unique_ptr<onepass_optimizer, Destroy>;

/// Returns the error of a call; "" if it succeeded.
inline std::string refusal(int status) {
  EXPECT_TRUE(status == ONEPASS_OK || status == ONEPASS_INVALID_ARGUMENT);
  return status == ONEPASS_OK ? "" : onepass_last_error();
}

/// Fails the test unless a call succeeded.
inline void expect_ok(int status) { EXPECT_EQ(status, ONEPASS_OK) << onepass_last_error(); }

/// Owns a handle of the interface.
template <class T, void (*kDestroy)(T*)>
struct Owner {
  T* handle = nullptr;

  Owner() = default;
  Owner(const Owner&) = delete;
  Owner& operator=(const Owner&) = delete;
  ~Owner() { kDestroy(handle); }
  T** operator&() { return &handle; }     // NOLINT: an argument that a function writes
  operator T*() const { return handle; }  // NOLINT: implicit
};
using ScheduleHandle = Owner<onepass_schedule, onepass_schedule_destroy>;
using StreamsHandle = Owner<onepass_streams, onepass_streams_destroy>;
using TextsHandle = Owner<onepass_texts, onepass_texts_destroy>;
using DictHandle = Owner<onepass_dict, onepass_dict_destroy>;

inline std::vector<std::string> texts_of(const onepass_texts* texts) {
  std::int64_t count = -1;
  expect_ok(onepass_texts_count(texts, &count));
  std::vector<std::string> all;
  for (std::int64_t i = 0; i < count; ++i) {
    const char* text = nullptr;
    expect_ok(onepass_texts_at(texts, i, &text));
    all.emplace_back(text);
  }
  return all;
}

/// Float32 tensors with fixed numbers. Tensor i is in group i % groups.
struct Model {
  std::vector<std::vector<float>> values, grads;

  Model() {
    for (const std::size_t size : {5u, 40u, 1u, 70u}) {
      values.emplace_back(size);
      grads.emplace_back(size);
      for (std::size_t i = 0; i < size; ++i) {
        values.back()[i] = 0.01f * static_cast<float>((7 * i + 3 * size) % 100) - 0.5f;
      }
    }
  }

  /// Writes the gradients of a step, which have both signs and differ from step to step.
  void set_gradients(int step) {
    for (std::vector<float>& grad : grads) {
      for (std::size_t i = 0; i < grad.size(); ++i) {
        const auto place = static_cast<int>(i);
        grad[i] =
            0.02f * static_cast<float>((11 * place + 5 * step) % 13 - 6) + 0.001f * static_cast<float>(step);
      }
    }
  }

  std::vector<onepass_parameter> tensors(int groups = 1) {
    std::vector<onepass_parameter> made;
    for (std::size_t i = 0; i < values.size(); ++i) {
      made.push_back({.size = sizeof(onepass_parameter),
                      .value = values[i].data(),
                      .grad = grads[i].data(),
                      .numel = static_cast<std::int64_t>(values[i].size()),
                      .group = static_cast<std::int32_t>(i) % groups});
    }
    return made;
  }

  /// The same tensors for the library, with the names that the C interface gives them.
  std::vector<Parameter> parameters(std::size_t groups = 1) {
    std::vector<Parameter> made;
    for (std::size_t i = 0; i < values.size(); ++i) {
      made.push_back(
          {.name = "tensor " + std::to_string(i), .value = values[i], .grad = grads[i], .group = i % groups});
    }
    return made;
  }

  [[nodiscard]] std::vector<std::uint32_t> bits() const {
    std::vector<std::uint32_t> all;
    for (const std::vector<float>& value : values) {
      for (const float one : value) all.push_back(std::bit_cast<std::uint32_t>(one));
    }
    return all;
  }
};

/// Settings, and the texts that they point to.
class Settings {
 public:
  enum class As { number, text };

  /// Sets all hyperparameters of a rule, with its values.
  Settings(const Rule& rule, As as) {
    for (const Hyperparameter& one : rule.hyperparameters()) {
      const char* const text =
          as == As::text ? texts_.emplace_back(std::make_unique<std::string>(rule.text(one.name)))->c_str()
                         : nullptr;
      // The number beside a text must not count.
      settings_.push_back({one.name, text == nullptr ? rule.get(one.name) : 1e30, text});
    }
  }

  [[nodiscard]] const std::vector<onepass_setting>& all() const { return settings_; }

 private:
  std::vector<std::unique_ptr<std::string>> texts_;
  std::vector<onepass_setting> settings_;
};

/// Makes an optimizer on the CPU; fails the test if that is refused.
inline Handle create(const std::vector<onepass_group>& groups,
                     const std::vector<onepass_parameter>& parameters,
                     const onepass_options* options = nullptr) {
  onepass_optimizer* made = nullptr;
  const int status =
      onepass_create(groups.data(), static_cast<std::int64_t>(groups.size()), parameters.data(),
                     static_cast<std::int64_t>(parameters.size()), ONEPASS_CPU, options, &made);
  EXPECT_EQ(status, ONEPASS_OK) << onepass_last_error();
  return Handle(made);
}

inline onepass_group group_of(const char* rule, const std::vector<onepass_setting>& settings = {}) {
  return {.size = sizeof(onepass_group),
          .rule = rule,
          .settings = settings.data(),
          .setting_count = static_cast<std::int64_t>(settings.size())};
}

/// Returns another value than a rule's for its hyperparameter number `index`, in its range. Numbers of
/// different hyperparameters differ from each other, so that a mix-up shows.
inline double other_value(const Rule& rule, std::size_t index) {
  const Hyperparameter& one = rule.hyperparameters()[index];
  const double present = rule.get(one.name);
  if (one.kind == Hyperparameter::Kind::flag) return 1.0 - present;
  if (one.kind == Hyperparameter::Kind::choice) {
    return present == 0.0 ? 1.0 : 0.0;  // Every rule takes the first two.
  }
  const double base = std::isinf(present) ? 2.0 : present;
  const double scaled = 0.75 * base + 0.01 * static_cast<double>(index + 1);
  for (const double value : {scaled, 0.5 * base, base + 1.0, base - 1.0}) {
    if (value != present && one.range.contains(value)) return value;
  }
  return present;
}

inline bool is_accepted(const Rule& rule) {
  try {
    rule.check();
    return true;
  } catch (const InvalidArgument&) {
    return false;
  }
}

/// Returns the rule with the hyperparameter number `kept` changed, and each of the others too, except those
/// that would then contradict the ones before.
inline Rule with_changes(const Rule& defaults, std::size_t kept) {
  const std::span<const Hyperparameter> list = defaults.hyperparameters();
  Rule rule = defaults;
  rule.set(list[kept].name, other_value(defaults, kept));
  for (std::size_t index = 0; index < list.size(); ++index) {
    Rule changed = rule;
    changed.set(list[index].name, other_value(defaults, index));
    // A change may also end a contradiction that the kept one causes by itself.
    if (is_accepted(changed) || !is_accepted(rule)) rule = changed;
  }
  return rule;
}

}  // namespace onepass::test
