// plateau.cpp - ReduceLROnPlateau as a plain value of the caller's.
#include "c/source/convert.hpp"

namespace onepass::c {
namespace {

constexpr const char* kType = "onepass_plateau";

ReduceLROnPlateau plateau_of(const onepass_plateau& c) {
  const auto min_lrs = array_of(c.min_lrs, "min_lrs", c.min_lr_count, "min_lr_count");
  ReduceLROnPlateau own{
      .mode = enumerator("mode", c.mode, ReduceLROnPlateau::Mode::max, "0 (min) or 1 (max)"),
      .factor = c.factor,
      .patience = c.patience,
      .threshold = c.threshold,
      .threshold_mode = enumerator("threshold_mode", c.threshold_mode, ReduceLROnPlateau::Threshold::abs,
                                   "0 (rel) or 1 (abs)"),
      .cooldown = c.cooldown,
      .min_lr = c.min_lr,
      .min_lrs = {min_lrs.begin(), min_lrs.end()},
      .eps = c.eps,
      .num_bad_epochs = c.num_bad_epochs,
      .cooldown_counter = c.cooldown_counter};
  if (flag("has_best", c.has_best)) own.best = c.best;
  return own;
}

/// Returns the caller's struct with everything but min_lrs as in `own`.
onepass_plateau plateau_of(const ReduceLROnPlateau& own, onepass_plateau c) {
  c.mode = static_cast<std::int32_t>(own.mode);
  c.threshold_mode = static_cast<std::int32_t>(own.threshold_mode);
  c.has_best = own.best.has_value() ? 1 : 0;
  c.factor = own.factor;
  c.patience = own.patience;
  c.threshold = own.threshold;
  c.cooldown = own.cooldown;
  c.min_lr = own.min_lr;
  c.eps = own.eps;
  c.best = own.best.value_or(0.0);
  c.num_bad_epochs = own.num_bad_epochs;
  c.cooldown_counter = own.cooldown_counter;
  return c;
}

}  // namespace
}  // namespace onepass::c

using namespace onepass::c;  // NOLINT: every function below is one of the interface

extern "C" {

int onepass_plateau_init(onepass_plateau* plateau) {
  return guarded([&] {
    require(plateau, "plateau");
    onepass_plateau empty{};
    empty.size = sizeof empty;
    *plateau = plateau_of(onepass::ReduceLROnPlateau{}, empty);
  });
}

int onepass_plateau_step(onepass_plateau* plateau, double metric, onepass_optimizer* optimizer, void* stream,
                         int32_t* fired) {
  return guarded([&] {
    require(plateau, "plateau");
    const onepass_plateau given = struct_of(plateau, kType);
    onepass::ReduceLROnPlateau own = plateau_of(given);
    const bool has_fired = own.step(metric, optimizer_of(optimizer), stream_of(stream));
    write_struct(plateau_of(own, given), plateau, kType);
    if (fired != nullptr) *fired = has_fired ? 1 : 0;
  });
}

}  // extern "C"
