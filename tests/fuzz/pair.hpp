// pair.hpp - two optimizers that get the same calls, and the model of both.
#pragma once

#include <array>
#include <functional>
#include <memory>
#include <string>
#include <vector>

#include "fuzz/model/model.hpp"

namespace onepass::fuzz {

class Pair {
 public:
  Pair(Draw& draw, Trace& trace);

  /// Makes a random call of both optimizers, and compares them with the model and with each other.
  void call();

 private:
  using Change = std::function<void(Shot&)>;

  /// Calls both sides. Both must take the call or refuse it with the same sentence. Returns whether they took
  /// it. If they did, `change` makes the shot before it into the one that is expected after it.
  bool both(const std::function<void(Side&)>& call, const Change& change);
  void expect(const Shot& want);
  void require_readings(Shot& shot);

  void step();
  static void step_as_shard(Optimizer& one);
  void accumulate();
  void drop_accumulated();
  void perturb();
  void zero_grad();
  void set_lr();
  void set_rule();
  void set_schedule();
  void set_gradients();
  void set_handling();
  void change_handling();
  void check();
  void add_parameters();
  void restore();
  void load();
  void update_scaler();
  void measure();

  void draw_gradients();
  [[nodiscard]] std::vector<Rule> rules() const;
  [[nodiscard]] GradientHandling handling_for(Side& side, const GradientHandling& plan, bool found_inf,
                                              bool grad_scale, bool shared) const;

  Draw& draw_;
  Trace& trace_;
  Setup setup_;
  Model model_;
  std::array<std::unique_ptr<Side>, 2> sides_;
  std::array<Memory, 2> memory_;
  StateDict saved_;
  int added_ = 0;
};

}  // namespace onepass::fuzz
