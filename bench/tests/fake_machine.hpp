// fake_machine.hpp - a machine with made-up times.
#pragma once

#include <functional>
#include <string>
#include <vector>

#include "bench/machine/machine.hpp"

namespace onepass::bench {

/// Reports the time that a contestant sets in `seconds`, and records all calls.
class FakeMachine final : public Machine {
 public:
  std::string name() const override { return "fake"; }
  int launches(bool /*clips*/) const override { return 1; }
  double free_bytes() const override { return 0.0; }
  double cache_bytes() const override { return cache; }
  double emptying_bytes(int /*threads*/) const override { return 0.0; }
  void warm_up(const std::function<void()>& work) override {
    work();
    log += 'w';
  }
  void empty_caches(int threads) override {
    emptied = threads;
    log += 'e';
  }
  std::function<void()> captured(const std::function<void(Stream)>& step) override {
    return [step, count = steps_in_replay] {
      for (int i = 0; i < count; ++i) step({});
    };
  }
  Elapsed time(const std::function<void()>& work, int repeats) override {
    work();
    log += 't';
    asked.push_back({current, repeats});
    return {seconds, seconds / 2};
  }

  struct Asked {
    int contestant;
    int repeats;
  };
  std::vector<Asked> asked;
  std::string log;  ///< One letter per call: w warms up, e empties the caches, t times.
  int emptied = 0;  ///< Number of threads in the last call of empty_caches().
  double cache = 0.0;
  int steps_in_replay = 1;  ///< Another number makes captured steps wrong.
  int current = 0;
  double seconds = 1e-6;
};

}  // namespace onepass::bench
