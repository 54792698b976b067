// sharded_model.hpp - a model on the CPU that is cut into shards, each with an optimizer of its own.
#pragma once

#include <algorithm>
#include <cstdint>
#include <memory>
#include <vector>

#include "onepass/onepass.hpp"
#include "support/named.hpp"
#include "support/numbers/values.hpp"

namespace onepass::test {

/// A part of each tensor of a model: elements [begins[t], ends[t]) of tensor t, and an optimizer over them.
/// Even tensors belong to group 0, odd ones to group 1. Nothing here draws random bits, so the parts need no
/// Parameter::first.
class Shard {
 public:
  Shard(const std::vector<std::int64_t>& begins, const std::vector<std::int64_t>& ends,
        const GradientHandling& handling, const Options& options, const std::vector<Rule>& rules)
      : begins_(begins) {
    values_.resize(begins.size());
    grads_.resize(begins.size());
    std::vector<Parameter> parameters;
    for (std::size_t t = 0; t < begins.size(); ++t) {
      std::vector<float> whole(static_cast<std::size_t>(ends[t]));
      draw_value(whole, t);
      values_[t].assign(whole.begin() + begins[t], whole.end());
      grads_[t].resize(values_[t].size());
      parameters.push_back({.name = "t" + std::to_string(t),
                            .value = std::span(values_[t]),
                            .grad = std::span(grads_[t]),
                            .group = t % 2});
    }
    optimizer_ = std::make_unique<Optimizer>(rules, parameters, options);
    optimizer_->set_gradient_handling(handling);
  }

  /// Writes the part of the gradients that the whole model has in step `step`.
  void draw(int step) {
    for (std::size_t t = 0; t < grads_.size(); ++t) {
      std::vector<float> whole(static_cast<std::size_t>(begins_[t]) + grads_[t].size());
      draw_gradient(whole, t, 1000 + step, 200);
      grads_[t].assign(whole.begin() + begins_[t], whole.end());
    }
  }
  [[nodiscard]] Optimizer& optimizer() { return *optimizer_; }
  [[nodiscard]] std::size_t size() const { return values_.size(); }
  [[nodiscard]] std::vector<float>& grad(std::size_t tensor) { return grads_[tensor]; }
  /// Takes a tensor's gradient away.
  void drop_gradient(std::size_t tensor) {
    std::vector<Tensor> gradients(grads_.begin(), grads_.end());
    gradients[tensor].data = nullptr;
    optimizer_->set_gradients(gradients);
  }
  [[nodiscard]] const std::vector<float>& value(std::size_t tensor) const { return values_[tensor]; }

 private:
  std::vector<std::int64_t> begins_;
  std::vector<std::vector<float>> values_, grads_;
  std::unique_ptr<Optimizer> optimizer_;
};

/// A model of tensors of `numels` elements, as a whole and in shards.
class ShardedModel {
 public:
  /// `cuts`: for each cut the element of every tensor where it falls; in ascending order.
  ShardedModel(const std::vector<std::int64_t>& numels, const std::vector<std::vector<std::int64_t>>& cuts,
               const GradientHandling& handling, const Options& options = {},
               const std::vector<Rule>& rules = {AdamW{.lr = 0.01}, AdamW{.lr = 0.02, .amsgrad = true}})
      : numels_(numels) {
    std::vector<std::int64_t> begins(numels.size(), 0);
    whole_ = std::make_unique<Shard>(begins, numels, handling, options, rules);
    for (std::size_t rank = 0; rank <= cuts.size(); ++rank) {
      const std::vector<std::int64_t>& ends = rank < cuts.size() ? cuts[rank] : numels;
      shards_.push_back(std::make_unique<Shard>(begins, ends, handling, options, rules));
      begins = ends;
    }
  }

  [[nodiscard]] Shard& whole() { return *whole_; }
  [[nodiscard]] Optimizer& optimizer() { return whole_->optimizer(); }
  [[nodiscard]] std::size_t ranks() const { return shards_.size(); }
  [[nodiscard]] Shard& shard(std::size_t rank) { return *shards_[rank]; }
  template <class Work>
  void each(Work work) {
    for (const auto& shard : shards_) work(*shard);
  }
  void draw(int step) {
    whole_->draw(step);
    each([&](Shard& shard) { shard.draw(step); });
  }

  /// The measures of all shards, combined as an all-reduce does.
  [[nodiscard]] std::vector<std::int64_t> combined() {
    const auto clip = optimizer().gradient_handling().clip_norm;
    const bool by_maximum = clip && clip->norm_type == NormType::infinity;
    const auto numel = optimizer().measure_numel();
    std::vector<std::int64_t> all(static_cast<std::size_t>(numel), 0);
    each([&](Shard& shard) {
      std::vector<std::int64_t> own(all.size(), -1);
      shard.optimizer().measure({own.data(), DType::int64, numel});
      for (std::size_t i = 0; i < all.size(); ++i) {
        all[i] = by_maximum ? std::max(all[i], own[i]) : all[i] + own[i];
      }
    });
    return all;
  }
  /// Steps the whole, and the shards by the combined measure.
  void step() {
    std::vector<std::int64_t> all = combined();
    each([&](Shard& shard) { shard.optimizer().step_measured(words_of(all)); });
    optimizer().step();
  }
  /// The same for rules that take sums over tensors: the shards add these up too.
  void step_with_sums() {
    const bool measures = optimizer().gradient_handling().clip_norm.has_value();
    std::vector<std::int64_t> measure = measures ? combined() : std::vector<std::int64_t>{};
    std::vector<std::int64_t> all(static_cast<std::size_t>(optimizer().sums_numel()), 0);
    each([&](Shard& shard) {
      std::vector<std::int64_t> own(all.size(), -1);
      measures ? shard.optimizer().begin_step(words_of(measure), words_of(own))
               : shard.optimizer().begin_step(words_of(own));
      for (std::size_t i = 0; i < all.size(); ++i) all[i] += own[i];
    });
    each([&](Shard& shard) { shard.optimizer().finish_step(words_of(all)); });
    optimizer().step();
  }
  static Tensor words_of(std::vector<std::int64_t>& words) {
    return {words.data(), DType::int64, static_cast<std::int64_t>(words.size())};
  }
  /// The values of a tensor, put together from the shards.
  [[nodiscard]] std::vector<float> value(std::size_t tensor) {
    std::vector<float> all;
    each(
        [&](Shard& shard) { all.insert(all.end(), shard.value(tensor).begin(), shard.value(tensor).end()); });
    return all;
  }
  [[nodiscard]] std::size_t tensors() const { return numels_.size(); }

 private:
  std::vector<std::int64_t> numels_;
  std::unique_ptr<Shard> whole_;
  std::vector<std::unique_ptr<Shard>> shards_;
};

}  // namespace onepass::test
