// unfused.cpp - the passes of each rule. Every BLAS call and every loop reads and writes its streams once.
#include "bench/baselines/unfused.hpp"

#include <cblas.h>

#include <array>
#include <stdexcept>
#include <string>

namespace onepass::bench {
namespace {

using Context = UnfusedContext;
using Part = UnfusedPart;

class OpenBlas final : public Blas {
 public:
  void scale(std::int64_t count, float factor, float* x) const override {
    in_ranges(count, [&](std::int64_t at, int size) { cblas_sscal(size, factor, x + at, 1); });
  }
  void add(std::int64_t count, float factor, const float* x, float* y) const override {
    in_ranges(count, [&](std::int64_t at, int size) { cblas_saxpy(size, factor, x + at, 1, y + at, 1); });
  }
};

// Passes that update the moments; kState is the index of the state.
template <int kState>
void keep_momentum(const Context& on, const Part& part) {
  on.blas.scale(part.count, on.k.starts ? 0.0f : on.k.momentum, part.at.states[kState]);
}
template <int kState>
void add_grad(const Context& on, const Part& part) {
  on.blas.add(part.count, 1.0f, part.at.grad, part.at.states[kState]);
}
template <int kState>
void keep_first(const Context& on, const Part& part) {
  on.blas.scale(part.count, 1.0f - on.k.first, part.at.states[kState]);
}
template <int kState>
void add_first(const Context& on, const Part& part) {
  on.blas.add(part.count, on.k.first, part.at.grad, part.at.states[kState]);
}
template <int kState>
void add_first_squares(const Context& on, const Part& part) {
  on.passes.add_squares(part.at.states[kState], part.at.grad, on.k.first, part.count);
}
void keep_second(const Context& on, const Part& part) {
  on.blas.scale(part.count, 1.0f - on.k.second, part.at.states[1]);
}
void add_second_squares(const Context& on, const Part& part) {
  on.passes.add_squares(part.at.states[1], part.at.grad, on.k.second, part.count);
}
void take_maximum(const Context& on, const Part& part) {
  on.passes.maximum(part.at.states[2], part.at.states[1], part.count);
}

// Passes that compute the update in scratch memory or apply it to the parameter.
void over_root(const Context& on, const Part& part) {
  on.passes.over_root(part.scratch, part.at.grad, part.at.states[0], on.k.eps, part.count);
}
void over_deviation(const Context& on, const Part& part) {
  on.passes.over_deviation(part.scratch, part.at.grad, part.at.states[0], part.at.states[1], on.k.eps,
                           part.count);
}
template <int kState>
void roots(const Context& on, const Part& part) {
  on.passes.roots(part.scratch, part.at.states[kState], on.k.root, on.k.eps, part.count);
}
void quotient(const Context& on, const Part& part) {
  on.passes.quotient(part.scratch, part.at.states[0], part.count);
}
void decay(const Context& on, const Part& part) {
  on.blas.scale(part.count, 1.0f - on.k.decay, part.at.param);
}
void subtract_grad(const Context& on, const Part& part) {
  on.blas.add(part.count, -on.k.lr, part.at.grad, part.at.param);
}
void subtract_state(const Context& on, const Part& part) {
  on.blas.add(part.count, -on.k.lr, part.at.states[0], part.at.param);
}
void subtract_scratch(const Context& on, const Part& part) {
  on.blas.add(part.count, -on.k.lr, part.scratch, part.at.param);
}

constexpr std::array<UnfusedPass, 1> kSgd{subtract_grad};
constexpr std::array<UnfusedPass, 3> kMomentum{keep_momentum<0>, add_grad<0>, subtract_state};
constexpr std::array<UnfusedPass, 4> kRmsProp{keep_first<0>, add_first_squares<0>, over_root,
                                              subtract_scratch};
constexpr std::array<UnfusedPass, 6> kCentered{keep_first<0>, add_first_squares<0>, keep_first<1>,
                                               add_first<1>,  over_deviation,       subtract_scratch};
constexpr std::array<UnfusedPass, 7> kAdam{keep_first<0>, add_first<0>, keep_second,     add_second_squares,
                                           roots<1>,      quotient,     subtract_scratch};
constexpr std::array<UnfusedPass, 8> kAmsGrad{keep_first<0>, add_first<0>, keep_second, add_second_squares,
                                              take_maximum,  roots<2>,     quotient,    subtract_scratch};
constexpr std::array<UnfusedPass, 8> kAdamW{decay,       keep_first<0>,      add_first<0>,
                                            keep_second, add_second_squares, roots<1>,
                                            quotient,    subtract_scratch};

struct Row {
  std::string_view rule;
  std::span<const UnfusedPass> passes;
};
constexpr std::array kRows{Row{"sgd", kSgd},         Row{"momentum", kMomentum},
                           Row{"rmsprop", kRmsProp}, Row{"rmsprop_centered", kCentered},
                           Row{"adam", kAdam},       Row{"amsgrad", kAmsGrad},
                           Row{"adamw", kAdamW}};

}  // namespace

std::span<const UnfusedPass> unfused_passes(std::string_view rule) {
  for (const Row& row : kRows) {
    if (row.rule == rule) return row.passes;
  }
  throw std::logic_error("onepass_bench: no unfused passes for " + std::string(rule));
}

const Blas& open_blas() {
  static const OpenBlas only;
  return only;
}

void leave_blas_single_threaded() { openblas_set_num_threads(1); }

}  // namespace onepass::bench
