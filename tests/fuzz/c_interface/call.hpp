// call.hpp - the arrays and structs that one random call of the C interface passes.
#pragma once

#include <array>
#include <memory>
#include <vector>

#include "fuzz/c_interface/world.hpp"

namespace onepass::fuzz {

inline constexpr std::initializer_list<const char*> kRules{"SGD", "RMSProp", "Adam", "AdamW"};
inline constexpr std::initializer_list<const char*> kMembers{"lr",    "momentum",  "beta1",    "weight_decay",
                                                             "eps",   "amsgrad",   "centered", "gamma",
                                                             "T_max", "step_size", "std",      "mode"};
inline constexpr std::initializer_list<const char*> kParameters{"tensor 0", "tensor 1", "tensor 2",
                                                                "tensor 7"};

/// The arrays that a call passes, alive until it returns.
struct Call {
  World& world;
  Arguments& a;
  std::vector<onepass_setting> settings = {};
  std::vector<onepass_group> groups = {};
  std::vector<onepass_parameter> parameters = {};
  std::vector<std::vector<onepass_given_stream>> streams = {};
  std::array<onepass_storage, 8> storages{};
  onepass_ema ema{};
  onepass_options options{};
  std::array<std::int64_t, 2> shape{};

  const onepass_setting* make_settings() {
    settings.clear();
    for (std::size_t i = a.draw.below(3); i > 0; --i) {
      const char* const member = a.draw.chance(0.9) ? a.draw.pick({"lr", "weight_decay"}) : a.name(kMembers);
      settings.push_back(
          {member, a.number(), a.draw.chance(0.03) ? a.name({"0.5", "true", "much"}) : nullptr});
    }
    return a.pointer(settings.data());
  }
  std::int64_t setting_count() { return a.count(static_cast<std::int64_t>(settings.size())); }

  void make_groups() {
    const onepass_setting* const own = make_settings();
    for (std::size_t i = 1 + a.draw.below(2); i > 0; --i) {
      onepass_group group{};
      a.sized(group);
      group.rule = a.name(kRules);
      group.settings = own;
      group.setting_count = setting_count();
      groups.push_back(group);
    }
  }
  const onepass_storage* make_storage(onepass_storage& storage) {
    storage = {0, a.code(3), a.code(2), a.code(1)};
    return &a.sized(storage);
  }
  void make_streams() {
    auto& list = streams.emplace_back();
    for (std::size_t i = a.draw.below(3); i > 0; --i) {
      world.given.push_back(std::make_unique<std::vector<double>>(80));
      onepass_given_stream one{};
      a.sized(one);
      one.dtype = a.code(5);
      one.name =
          a.name({"exp_avg", "exp_avg_sq", "step", "master", "ema", "exp_avg.scales", "momentum_buffer"});
      one.data = a.pointer(world.given.back()->data());
      one.numel = a.draw.pick({std::int64_t{1}, std::int64_t{5}, std::int64_t{70}});
      one.contents = a.code(1);
      list.push_back(one);
    }
  }
  void make_parameters(std::size_t most) {
    streams.reserve(most);
    for (std::size_t i = a.draw.below(most + 1); i > 0; --i) {
      const std::int64_t numel =
          a.draw.pick({std::int64_t{0}, std::int64_t{1}, std::int64_t{5}, std::int64_t{70}});
      world.numbers.push_back(std::make_unique<Numbers>(numel));
      Numbers& memory = *world.numbers.back();
      onepass_parameter one{};
      a.sized(one);
      one.dtype = a.draw.chance(0.6) ? 0 : a.code(2);
      one.grad_dtype = a.draw.chance(0.9) ? one.dtype : a.code(2);
      one.name = a.draw.chance(0.6) ? nullptr : a.name(kParameters);
      one.value = a.pointer(memory.value.data());
      one.grad = a.draw.chance(0.2) ? nullptr : memory.grad.data();
      one.copy = a.draw.chance(0.9) ? nullptr : memory.copy.data();
      one.copy_dtype = a.draw.chance(0.9) ? ONEPASS_BFLOAT16 : a.code(2);
      one.numel = a.count(numel);
      one.group = a.draw.chance(0.98) ? 0 : a.code(1);
      one.first = a.draw.chance(0.97) ? 0 : a.draw.odd_count();
      one.run = a.draw.chance(0.97) ? 0 : a.draw.odd_count();
      if (a.draw.chance(0.05)) one.storage = make_storage(storages[i % storages.size()]);
      if (a.draw.chance(0.05)) {
        make_streams();
        one.streams = a.pointer(streams.back().data());
        one.stream_count = a.count(static_cast<std::int64_t>(streams.back().size()));
      }
      if (a.draw.chance(0.1)) {
        shape = {a.draw.chance(0.1) ? a.draw.odd_count() : 7, 10};
        one.shape = shape.data();
        one.dim_count = 2;
        one.blocks = a.count(1);
      }
      parameters.push_back(one);
    }
  }
  const onepass_options* make_options() {
    if (a.draw.chance(0.3)) return nullptr;
    a.sized(options);
    options.accumulates_gradients = a.flag();
    if (a.draw.chance(0.5)) options.storage = make_storage(storages[0]);
    if (a.draw.chance(0.2)) options.float32_storage = make_storage(storages[1]);
    if (a.draw.chance(0.1)) {
      ema.decay = a.number();
      ema.dtype = a.code(1);
      options.ema = &a.sized(ema);
    }
    options.isa = a.draw.chance(0.9) ? 0 : a.code(4);
    options.threads = a.draw.chance(0.1) ? a.code(2) : 1;
    return &options;
  }
};

}  // namespace onepass::fuzz
