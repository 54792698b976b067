// setup.hpp - random optimizers, schedules and settings, valid ones and others.
#pragma once

#include <cstdint>
#include <string>
#include <vector>

#include "fuzz/draw.hpp"
#include "onepass/onepass.hpp"

namespace onepass::fuzz {

/// A parameter without its memory.
struct TensorPlan {
  std::string name;
  std::int64_t numel = 0;
  DType dtype = DType::float32;
  DType grad_dtype = DType::float32;
  std::size_t group = 0;
  std::int64_t first = 0, run = 0, pitch = 0;
  std::vector<std::int64_t> shape = {};
  bool has_copy = false;
  DType copy_dtype = DType::bfloat16;
};

/// An optimizer without its memory.
struct Setup {
  std::vector<Rule> rules;
  std::vector<TensorPlan> tensors;
  Options options;
  /// Hyperparameters and gradients may be so large or small that float32 and float64 part. No number is
  /// compared with the model then, but counts, bits and refusals are.
  bool wild = false;
};

Setup draw_setup(Draw& draw);
/// Returns a parameter of one of the types that the setup's storage has.
TensorPlan draw_tensor(Draw& draw, const Setup& setup, std::string name);
/// Options of the same result: threads, instruction set and size of the chunks are drawn anew.
Options same_result(Draw& draw, Options options);
/// Changes some hyperparameters. Throws InvalidArgument if one of them is out of range.
void change_rule(Draw& draw, Rule& rule, bool wild);
/// Returns a number that a learning rate may have, or with some probability may not.
double draw_lr(Draw& draw, bool wild);
/// Throws InvalidArgument if the schedule that was drawn is none.
Schedule draw_schedule(Draw& draw, bool wild, int depth = 0);
/// Returns settings without pointers.
GradientHandling draw_handling(Draw& draw, std::size_t bad_in);

}  // namespace onepass::fuzz
