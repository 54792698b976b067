// world.hpp - the handles and the memory that random calls of the C interface work with.
#pragma once

#include <cstdint>
#include <cstring>
#include <memory>
#include <string>
#include <vector>

#include "c/onepass.h"
#include "fuzz/draw.hpp"

namespace onepass::fuzz {

template <class T, void (*kDestroy)(T*)>
struct Destroys {
  void operator()(T* handle) const { kDestroy(handle); }
};
template <class T, void (*kDestroy)(T*)>
using Owned = std::unique_ptr<T, Destroys<T, kDestroy>>;

using OwnedSchedule = Owned<onepass_schedule, onepass_schedule_destroy>;
using OwnedDict = Owned<onepass_dict, onepass_dict_destroy>;
using OwnedTexts = Owned<onepass_texts, onepass_texts_destroy>;
using OwnedStreams = Owned<onepass_streams, onepass_streams_destroy>;
using OwnedScaler = Owned<onepass_shared_loss_scaler, onepass_shared_loss_scaler_destroy>;
using OwnedRandom = Owned<onepass_random, onepass_random_destroy>;
using OwnedOptimizer = Owned<onepass_optimizer, onepass_destroy>;

/// Draws the arguments of one seed's calls: most are right, some are null, out of range or of a wrong size.
class Arguments {
 public:
  explicit Arguments(std::uint64_t seed) : draw(seed) {}

  Draw draw;

  template <class T>
  T* pointer(T* right) {
    return draw.chance(0.01) ? nullptr : right;
  }
  std::int64_t count(std::int64_t right) {
    return draw.chance(0.01) ? draw.pick({std::int64_t{-1}, std::int64_t{-1} << 62, std::int64_t{0}}) : right;
  }
  std::int32_t code(std::int32_t last) {
    if (draw.chance(0.01)) return draw.pick({-1, last + 1, 1 << 30, -(1 << 30)});
    return static_cast<std::int32_t>(draw.below(static_cast<std::size_t>(last) + 1));
  }
  std::int32_t flag() { return draw.chance(0.01) ? 2 : draw.chance(0.3) ? 1 : 0; }
  double number() {
    return draw.chance(0.05) ? draw.odd() : draw.pick({0.0, 0.5, 0.9, 0.99, 1e-3, 1.0, 2.0});
  }
  const char* name(std::initializer_list<const char*> right) {
    if (draw.chance(0.03)) return draw.pick<const char*>({"", "none of these", "lr\n", "\xff\xfe", nullptr});
    return draw.pick(right);
  }
  /// Sets the size of a struct, rarely to a wrong one.
  template <class Struct>
  Struct& sized(Struct& one) {
    one.size = draw.chance(0.005) ? draw.pick<std::uint32_t>({0, 3, 4, sizeof one - 4, 1u << 20, 0xffffffffu})
                                  : static_cast<std::uint32_t>(sizeof one);
    return one;
  }
};

/// One tensor and its gradient, aligned so that any dtype may be read there.
struct Numbers {
  std::vector<double> value, grad, copy;
  std::int64_t numel = 0;

  explicit Numbers(std::int64_t numel)
      : value(static_cast<std::size_t>(numel) + 1, 0.0078127),
        grad(static_cast<std::size_t>(numel) + 1, -0.0000021),
        copy(static_cast<std::size_t>(numel) + 1),
        numel(numel) {}
};

/// Memory that a call may have given to an optimizer: it lives as long as the world.
struct World {
  std::vector<std::unique_ptr<Numbers>> numbers;
  std::vector<std::unique_ptr<std::vector<double>>> given;
  std::vector<std::unique_ptr<float>> floats;
  std::vector<OwnedScaler> scalers;  // before the optimizers, which they must outlive
  std::vector<OwnedOptimizer> optimizers;
  std::vector<OwnedSchedule> schedules;
  std::vector<OwnedDict> dicts;
  std::vector<OwnedRandom> randoms;

  template <class Handles>
  static auto pick(Arguments& a, Handles& handles) {
    return handles.empty() || a.draw.chance(0.02) ? nullptr : handles[a.draw.below(handles.size())].get();
  }
  template <class Handles, class T>
  static void keep(Handles& handles, T* made) {
    if (made == nullptr) return;
    if (handles.size() > 5) handles.erase(handles.begin());
    handles.emplace_back(made);
  }
};

/// Throws Mismatch unless a call has failed with one sentence or not at all. Returns whether it was taken.
bool is_taken(int status, Trace& trace);

/// All that a call that is refused must leave as it was: values, states, counts, hyperparameters and
/// handling.
std::string fingerprint(onepass_optimizer* optimizer);

}  // namespace onepass::fuzz
