// random.cpp - initial values and dropout.
#include "c/source/convert.hpp"
#include "c/source/fields.hpp"

namespace onepass::c {
namespace {

namespace in = initializers;

constexpr std::initializer_list<const char*> kNonlinearities{"linear", "sigmoid",    "tanh",
                                                             "relu",   "leaky_relu", "selu"};

const auto kNoFields = [](auto&) { return Fields{}; };
const auto kGain = [](auto& s) { return Fields{field("gain", s.gain)}; };
const auto kKaiming = [](auto& s) {
  return Fields{field("a", s.a), field("mode", s.mode, {"fan_in", "fan_out", "fan_avg"}),
                field("nonlinearity", s.nonlinearity, kNonlinearities)};
};
const auto kNormal = [](auto& s) { return Fields{field("mean", s.mean), field("std", s.std)}; };

const std::vector<Named<Initializer>>& all_initializers() {
  static const std::vector<Named<Initializer>> all{
      named<Initializer, in::Constant>("Constant", [](auto& s) { return Fields{field("value", s.value)}; }),
      named<Initializer, in::Zeros>("Zeros", kNoFields),
      named<Initializer, in::Ones>("Ones", kNoFields),
      named<Initializer, in::Uniform>("Uniform",
                                      [](auto& s) {
                                        return Fields{field("low", s.low), field("high", s.high)};
                                      }),
      named<Initializer, in::Normal>("Normal", kNormal),
      named<Initializer, in::XavierUniform>("XavierUniform", kGain),
      named<Initializer, in::XavierNormal>("XavierNormal", kGain),
      named<Initializer, in::KaimingUniform>("KaimingUniform", kKaiming),
      named<Initializer, in::KaimingNormal>("KaimingNormal", kKaiming),
      named<Initializer, in::LecunUniform>("LecunUniform", kNoFields),
      named<Initializer, in::LecunNormal>("LecunNormal", kNoFields),
      named<Initializer, in::TruncatedNormal>(
          "TruncatedNormal",
          [](auto& s) {
            return Fields{field("mean", s.mean), field("std", s.std), field("a", s.a), field("b", s.b)};
          }),
      named<Initializer, in::VariancePreservingTruncatedNormal>("VariancePreservingTruncatedNormal", kNormal),
      named<Initializer, in::Orthogonal>("Orthogonal", kGain),
      named<Initializer, in::Eye>("Eye", kNoFields),
      named<Initializer, in::Dirac>("Dirac", [](auto& s) { return Fields{field("groups", s.groups)}; })};
  return all;
}

RandomKey key_of(const onepass_random_key* given) {
  const auto c = struct_or_zero(given, "onepass_random_key");
  RandomKey key{.seed = c.seed, .tensor = c.tensor};
  if (flag("is_shard", c.is_shard)) key.first = c.first;
  return key;
}

/// Runs dropout in either direction.
void drop(const onepass_dropout* given, const onepass_random* random, void* stream,
          void (*run)(const Dropout&, const DropoutCall&, const RandomState&, Stream)) {
  const auto c = struct_of(given, "onepass_dropout");
  require(random, "random");
  const Device device = random->state.device();
  DropoutCall call{
      .out = {c.out, c.numel, device}, .in = {c.in, c.numel, device}, .site = c.site, .first = c.first};
  if (c.residual != nullptr) call.residual = {c.residual, c.numel, device};
  run({.p = c.p}, call, random->state, stream_of(stream));
}

}  // namespace
}  // namespace onepass::c

using namespace onepass::c;  // NOLINT: every function below is one of the interface

extern "C" {

int onepass_initialize(const onepass_tensor* tensor, int32_t device, const int64_t* shape, int64_t dim_count,
                       const char* initializer, const onepass_setting* settings, int64_t setting_count,
                       const onepass_random_key* key, void* stream) {
  return guarded([&] {
    const auto own = tensor_of(struct_of(tensor, "onepass_tensor"), device_of(device));
    const auto dims = array_of(shape, "shape", dim_count, "dim_count");
    const auto made = make_named(all_initializers(), "initializer", initializer,
                                 array_of(settings, "settings", setting_count, "setting_count"));
    onepass::initialize(own, dims, made, key_of(key), stream_of(stream));
  });
}

int onepass_calculate_gain(const char* nonlinearity, const double* param, double* gain) {
  return guarded([&] {
    require(nonlinearity, "nonlinearity");
    require(gain, "gain");
    auto own = onepass::initializers::Nonlinearity::linear;
    field("nonlinearity", own, kNonlinearities).set({"nonlinearity", 0.0, nonlinearity}, "nonlinearity");
    *gain = onepass::initializers::calculate_gain(
        own, param == nullptr ? std::nullopt : std::optional<double>(*param));
  });
}

int onepass_calculate_fans(const int64_t* shape, int64_t dim_count, int64_t* fan_in, int64_t* fan_out) {
  return guarded([&] {
    require(fan_in, "fan_in");
    require(fan_out, "fan_out");
    const auto fans =
        onepass::initializers::calculate_fan_in_and_fan_out(array_of(shape, "shape", dim_count, "dim_count"));
    *fan_in = fans.fan_in;
    *fan_out = fans.fan_out;
  });
}

int onepass_random_create(int32_t device, uint64_t seed, int64_t offset, onepass_random** random) {
  return guarded([&] {
    write_handle(random, "random", [&] {
      return new onepass_random{onepass::RandomState(device_of(device), {seed, offset})};
    });
  });
}

void onepass_random_destroy(onepass_random* random) { delete random; }

int onepass_random_advance(onepass_random* random, void* stream) {
  return guarded([&] {
    require(random, "random");
    random->state.advance(stream_of(stream));
  });
}

int onepass_random_state(const onepass_random* random, void* stream, uint64_t* seed, int64_t* offset) {
  return guarded([&] {
    require(random, "random");
    require(seed, "seed");
    require(offset, "offset");
    const auto position = random->state.saved(stream_of(stream));
    *seed = position.seed;
    *offset = position.offset;
  });
}

int onepass_random_load(onepass_random* random, uint64_t seed, int64_t offset, void* stream) {
  return guarded([&] {
    require(random, "random");
    random->state.restore({seed, offset}, stream_of(stream));
  });
}

int onepass_dropout_forward(const onepass_dropout* dropout, const onepass_random* random, void* stream) {
  return guarded([&] { drop(dropout, random, stream, onepass::dropout_forward); });
}

int onepass_dropout_backward(const onepass_dropout* dropout, const onepass_random* random, void* stream) {
  return guarded([&] { drop(dropout, random, stream, onepass::dropout_backward); });
}

}  // extern "C"
