// memory_test.cpp - memory of the caller's, addresses that change, parameters that come and go.
#include <gtest/gtest.h>

#include <string>
#include <vector>

#include "c/onepass.h"
#include "c/tests/model.hpp"

namespace onepass::test {
namespace {

/// Reads a list of streams.
std::vector<onepass_stream_info> all_of(const onepass_streams* streams) {
  std::int64_t count = -1;
  expect_ok(onepass_streams_count(streams, &count));
  std::vector<onepass_stream_info> all;
  for (std::int64_t i = 0; i < count; ++i) {
    onepass_stream_info info{.size = sizeof info};
    expect_ok(onepass_streams_at(streams, i, &info));
    all.push_back(info);
  }
  return all;
}

void expect_sums(const std::vector<onepass_stream_info>& streams, const std::vector<StreamBytes>& own) {
  ASSERT_EQ(streams.size(), own.size());
  for (std::size_t i = 0; i < own.size(); ++i) {
    EXPECT_EQ(streams[i].name, own[i].name);
    EXPECT_EQ(streams[i].bytes, own[i].bytes);
    EXPECT_EQ(streams[i].parameter, -1);
  }
}

TEST(CMemory, WhatAnOptimizerTakesAndMovesIsListed) {
  Model model;
  const Handle optimizer = create({group_of("AdamW")}, model.tensors());
  const Optimizer library(AdamW{}, model.parameters());
  StreamsHandle memory, traffic;
  expect_ok(onepass_memory(optimizer.get(), &memory));
  expect_sums(all_of(memory), library.memory());
  expect_ok(onepass_traffic(optimizer.get(), &traffic));
  expect_sums(all_of(traffic), library.traffic());
  onepass_stream_info info{.size = sizeof info};
  EXPECT_NE(refusal(onepass_streams_at(memory, 99, &info)), "");
}

/// Memory of the caller's for all that onepass_required_memory() lists.
struct Given {
  std::vector<std::vector<std::uint64_t>> memory;
  std::vector<std::vector<onepass_given_stream>> streams;

  Given(const std::vector<onepass_group>& groups, const std::vector<onepass_parameter>& parameters,
        const onepass_options* options) {
    StreamsHandle list;
    expect_ok(onepass_required_memory(groups.data(), static_cast<std::int64_t>(groups.size()),
                                      parameters.data(), static_cast<std::int64_t>(parameters.size()),
                                      ONEPASS_CPU, options, &list));
    streams.resize(parameters.size());
    for (const onepass_stream_info& one : all_of(list)) {
      memory.emplace_back((static_cast<std::size_t>(one.bytes) + 7) / 8 + 1, 0xabababababababab);
      streams[static_cast<std::size_t>(one.parameter)].push_back({.size = sizeof(onepass_given_stream),
                                                                  .dtype = one.dtype,
                                                                  .name = one.name,
                                                                  .data = memory.back().data(),
                                                                  .numel = one.numel});
    }
  }

  void attach(std::vector<onepass_parameter>& parameters) const {
    for (std::size_t i = 0; i < parameters.size(); ++i) {
      parameters[i].streams = streams[i].data();
      parameters[i].stream_count = static_cast<std::int64_t>(streams[i].size());
    }
  }
};

TEST(CMemory, GivenMemoryHasTheBitsOfTheLibrarysOwn) {
  for (const std::int32_t states :
       {ONEPASS_STATES_FLOAT32, ONEPASS_STATES_BFLOAT16, ONEPASS_STATES_QUANTIZED8}) {
    Model model, expected;
    const onepass_storage storage{.size = sizeof storage, .states = states};
    const onepass_ema ema{.size = sizeof ema, .decay = 0.5};
    const onepass_lookahead lookahead{.size = sizeof lookahead, .k = 2, .alpha = 0.25};
    const onepass_options options{
        .size = sizeof options, .seed = 3, .float32_storage = &storage, .ema = &ema, .lookahead = &lookahead};
    const std::vector<onepass_group> groups{group_of("AdamW")};
    std::vector<onepass_parameter> parameters = model.tensors();
    const Given given(groups, parameters, &options);
    given.attach(parameters);
    const Handle optimizer = create(groups, parameters, &options);
    Optimizer library(AdamW{}, expected.parameters(),
                      {.float32_storage = {.states = static_cast<States>(states)},
                       .seed = 3,
                       .ema = EMA{.decay = 0.5},
                       .lookahead = Lookahead{.k = 2, .alpha = 0.25}});
    for (int i = 0; i < 3; ++i) {
      model.set_gradients(i), expected.set_gradients(i);
      expect_ok(onepass_step(optimizer.get(), nullptr));
      library.step();
    }
    EXPECT_EQ(model.bits(), expected.bits());
    onepass_tensor state{.size = sizeof state};
    expect_ok(onepass_state(optimizer.get(), "tensor 1", "exp_avg", &state));
    EXPECT_EQ(state.data, given.streams[1][0].data);
    EXPECT_EQ(state.numel, 40);
    // The counter lies in the caller's memory, and an edit counts.
    auto* const counter = static_cast<std::int64_t*>(given.streams[1].back().data);
    ASSERT_STREQ(given.streams[1].back().name, "step");
    EXPECT_EQ(*counter, 3);
    *counter = 10;
    std::int64_t steps = -1;
    expect_ok(onepass_step_count(optimizer.get(), "tensor 1", nullptr, &steps));
    EXPECT_EQ(steps, 10);
  }
}

TEST(CMemory, CallsWithoutStateHaveTheBitsOfOneOptimizer) {
  for (const std::int32_t states : {ONEPASS_STATES_FLOAT32, ONEPASS_STATES_QUANTIZED8}) {
    Model model, expected;
    const onepass_storage storage{.size = sizeof storage, .states = states};
    const onepass_options options{.size = sizeof options, .seed = 3, .float32_storage = &storage};
    const onepass_clip_grad_norm clip{
        .size = sizeof clip, .norm_type = ONEPASS_NORM_L2, .max_norm = 0.5, .exact = 1};
    const onepass_gradient_handling handling{.size = sizeof handling, .clip_norm = &clip};
    const std::vector<onepass_group> groups{group_of("AdamW")};
    std::vector<onepass_parameter> parameters = model.tensors();
    Given given(groups, parameters, &options);
    given.attach(parameters);
    Optimizer library(AdamW{}, expected.parameters(),
                      {.float32_storage = {.states = static_cast<States>(states)}, .seed = 3});
    library.clip_grad_norm({.max_norm = 0.5, .exact = true});
    const auto count = static_cast<std::int64_t>(parameters.size());
    for (int i = 0; i < 3; ++i) {
      model.set_gradients(i), expected.set_gradients(i);
      expect_ok(onepass_apply(groups.data(), 1, parameters.data(), count, ONEPASS_CPU, &options, &handling,
                              nullptr));
      library.step();
      for (auto& streams : given.streams) {
        for (onepass_given_stream& one : streams) one.contents = ONEPASS_CONTENTS_PRESENT;
      }
    }
    EXPECT_EQ(model.bits(), expected.bits());
    --parameters[1].stream_count;
    EXPECT_EQ(refusal(onepass_apply(groups.data(), 1, parameters.data(), count, ONEPASS_CPU, &options,
                                    nullptr, nullptr)),
              "onepass: onepass_apply keeps nothing, so every stream must be given, but \"tensor 1\" has no "
              "memory for \"step\"");
  }
}

TEST(CMemory, ColumnsOfATensorRoundAsTheWholeDoes) {
  // 6 rows of 50 columns; the shard has columns 13 to 19.
  std::vector<std::uint16_t> whole(300), part;
  std::vector<float> grad(300), part_grad;
  for (std::size_t i = 0; i < 300; ++i)
    whole[i] = static_cast<std::uint16_t>(0x3f00u + i), grad[i] = 0.001f * static_cast<float>(i % 9);
  for (std::size_t i = 0; i < 300; ++i) {
    if (i % 50 >= 13 && i % 50 < 20) part.push_back(whole[i]), part_grad.push_back(grad[i]);
  }
  const onepass_storage storage{.size = sizeof storage, .rounding = ONEPASS_STOCHASTIC};
  const onepass_options options{.size = sizeof options, .seed = 8, .storage = &storage};
  const std::int64_t shape[] = {6, 50};
  const auto step = [&](std::vector<std::uint16_t>& value, std::vector<float>& own,
                        onepass_parameter parameter) {
    parameter.size = sizeof parameter, parameter.dtype = ONEPASS_BFLOAT16, parameter.name = "w";
    parameter.value = value.data(), parameter.grad = own.data();
    parameter.numel = static_cast<std::int64_t>(value.size());
    parameter.shape = shape, parameter.dim_count = 2;
    const Handle optimizer = create({group_of("AdamW")}, {parameter}, &options);
    for (int i = 0; i < 5; ++i) expect_ok(onepass_step(optimizer.get(), nullptr));
  };
  step(whole, grad, {});
  step(part, part_grad, {.first = 13, .run = 7, .pitch = 50});
  std::vector<std::uint16_t> expected;
  for (std::size_t i = 0; i < 300; ++i) {
    if (i % 50 >= 13 && i % 50 < 20) expected.push_back(whole[i]);
  }
  EXPECT_EQ(part, expected);
}

TEST(CMemory, AddressesChangeBetweenSteps) {
  Model model, expected;
  const Handle optimizer = create({group_of("AdamW")}, model.tensors());
  Optimizer library(AdamW{}, expected.parameters());
  const auto step = [&](int i) {
    model.set_gradients(i), expected.set_gradients(i);
    expect_ok(onepass_step(optimizer.get(), nullptr));
    library.step();
    EXPECT_EQ(model.bits(), expected.bits());
  };
  step(0);
  // Values and gradients move, and one gradient is left out.
  Model moved = model;
  std::vector<onepass_parameter> parameters = moved.tensors();
  const std::vector<std::string> names{"tensor 0", "tensor 1", "tensor 2", "tensor 3"};
  for (std::size_t i = 0; i < parameters.size(); ++i) parameters[i].name = names[i].c_str();
  expect_ok(onepass_set_memory(optimizer.get(), parameters.data(), 4, nullptr));
  std::swap(model.values, moved.values), std::swap(model.grads, moved.grads);
  step(1);
  std::vector<onepass_tensor> gradients;
  std::vector<Tensor> own;
  for (std::size_t i = 0; i < 4; ++i) {
    gradients.push_back({sizeof(onepass_tensor), ONEPASS_FLOAT32, i == 2 ? nullptr : model.grads[i].data(),
                         static_cast<std::int64_t>(model.grads[i].size())});
    own.push_back(i == 2 ? Tensor{} : Tensor(expected.grads[i]));
  }
  expect_ok(onepass_set_gradients(optimizer.get(), gradients.data(), 4, nullptr));
  library.set_gradients(own);
  step(2);
  EXPECT_NE(refusal(onepass_set_gradients(optimizer.get(), gradients.data(), 3, nullptr)), "");
  parameters[1].name = nullptr;
  EXPECT_EQ(refusal(onepass_set_memory(optimizer.get(), parameters.data(), 4, nullptr)),
            "onepass: name is null");
}

TEST(CMemory, ParametersAreAddedAndRemoved) {
  Model model, expected, added, expected_added;
  const Handle optimizer = create({group_of("AdamW")}, model.tensors());
  Optimizer library(AdamW{}, expected.parameters());
  expect_ok(onepass_add_parameters(optimizer.get(), added.tensors().data(), 2));
  std::vector<Parameter> more = expected_added.parameters();
  more.resize(2);
  more[0].name = "tensor 4", more[1].name = "tensor 5";
  library.add_parameters(more);
  const char* const removed[] = {"tensor 1", "tensor 4"};
  expect_ok(onepass_remove_parameters(optimizer.get(), removed, 2));
  library.remove_parameters({"tensor 1", "tensor 4"});
  std::int64_t count = -1;
  expect_ok(onepass_parameter_count(optimizer.get(), &count));
  EXPECT_EQ(count, 4);
  for (Model* one : {&model, &expected, &added, &expected_added}) one->set_gradients(2);
  expect_ok(onepass_step(optimizer.get(), nullptr));
  library.step();
  EXPECT_EQ(model.bits(), expected.bits());
  EXPECT_EQ(added.bits(), expected_added.bits());
  // Numbers of names go on, so a name that was removed does not return by itself.
  expect_ok(onepass_add_parameters(optimizer.get(), Model().tensors().data(), 0));
  Model again;
  expect_ok(onepass_add_parameters(optimizer.get(), again.tensors().data(), 1));
  std::int64_t steps = -1;
  expect_ok(onepass_step_count(optimizer.get(), "tensor 6", nullptr, &steps));
  EXPECT_EQ(steps, 0);
  const char* const unknown[] = {"tensor 1"};
  EXPECT_NE(refusal(onepass_remove_parameters(optimizer.get(), unknown, 1)), "");
  EXPECT_EQ(refusal(onepass_remove_parameters(optimizer.get(), nullptr, 1)), "onepass: names is null");
  const char* const last[] = {"tensor 6"};
  expect_ok(onepass_remove_parameters(optimizer.get(), last, 1));  // its memory ends before the optimizer
}

TEST(CMemory, WhatAnOptimizerHasIsRead) {
  Model model;
  const std::vector<onepass_setting> settings{{"lr", 0.25, nullptr}};
  const Handle optimizer = create({group_of("SGD", settings), group_of("AdamW")}, model.tensors(2));
  std::int64_t count = -1;
  expect_ok(onepass_group_count(optimizer.get(), &count));
  EXPECT_EQ(count, 2);
  const char* text = nullptr;
  expect_ok(onepass_group_rule(optimizer.get(), 1, &text));
  EXPECT_STREQ(text, "AdamW");
  expect_ok(onepass_get_text(optimizer.get(), 1, "weight_decay_mode", &text));
  EXPECT_STREQ(text, "decoupled");
  std::int32_t device = 7;
  expect_ok(onepass_device(optimizer.get(), &device));
  EXPECT_EQ(device, ONEPASS_CPU);
  expect_ok(onepass_state_count(optimizer.get(), "tensor 1", &count));
  EXPECT_EQ(count, 2);
  expect_ok(onepass_state_name(optimizer.get(), "tensor 1", 1, &text));
  EXPECT_STREQ(text, "exp_avg_sq");
  expect_ok(onepass_state_count(optimizer.get(), "tensor 0", &count));
  EXPECT_EQ(count, 0);
  expect_ok(onepass_state_count(optimizer.get(), nullptr, &count));
  EXPECT_EQ(count, 2);
  EXPECT_NE(refusal(onepass_state_name(optimizer.get(), "tensor 0", 0, &text)), "");
  onepass_tensor state{.size = sizeof state};
  EXPECT_NE(refusal(onepass_state(optimizer.get(), "tensor 0", "exp_avg", &state)), "");
  expect_ok(onepass_set_lr(optimizer.get(), 0.125, nullptr));
  double lr = 0.0;
  expect_ok(onepass_get(optimizer.get(), 1, "lr", &lr));
  EXPECT_EQ(lr, 0.125);
  model.set_gradients(1);
  expect_ok(onepass_step(optimizer.get(), nullptr));
  expect_ok(onepass_steps(optimizer.get(), nullptr, &count));
  EXPECT_EQ(count, 1);
}

}  // namespace
}  // namespace onepass::test
