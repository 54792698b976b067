// cuda_rivals.cpp - limit, copy and the unfused step on a GPU.
#include "bench/baselines/unfused.hpp"
#include "bench/cuda/limit.hpp"
#include "bench/cuda/unfused.hpp"
#include "bench/rivals.hpp"

namespace onepass::bench {
namespace {

class CudaRivals final : public Rivals {
 public:
  explicit CudaRivals(const Scene& scene)
      : scene_(scene),
        device_(scene.measured.device),
        bytes_(copied_bytes(scene.traffic, device_)),
        from_(device_, bytes_),
        to_(device_, bytes_),
        limit_(device_, element_bytes(*scene.measured.format), scene.streams) {
    fill_zero({device_, from_.data()}, bytes_);
    if (scene.measured.has_baselines()) prepare_unfused();
  }

  std::vector<Rival> all() override {
    const auto move = [this] { limit_.run(0); };
    const auto copy_memory = [this] { copy({device_, to_.data()}, {device_, from_.data()}, bytes_); };
    std::vector<Rival> rivals{rival(kLimit, Leaves::memory_as_it_was, move),
                              rival(kCopy, Leaves::memory_as_it_was, copy_memory)};
    if (scene_.measured.has_baselines()) {
      rivals.push_back(rival(kUnfused, Leaves::the_step_rounded, [this] { step_unfused(); }));
    }
    return rivals;
  }

 private:
  Rival rival(const char* name, Leaves leaves, std::function<void()> work) const {
    return {{name, std::move(work)}, leaves};
  }

  void prepare_unfused() {
    blas_ = cu_blas();
    const PlainStep& by_hand = *scene_.measured.rule->by_hand;
    numbers_ = by_hand.numbers(kBaselineStep);
    passes_ = unfused_passes(by_hand.name);
    const auto parameters = static_cast<std::size_t>(scene_.measured.layout.parameters());
    scratch_ = DeviceBuffer(device_, parameters * sizeof(float));
  }

  [[nodiscard]] FloatStreams floats(const TensorStreams& from) const {
    const auto at = [](std::byte* stream) { return reinterpret_cast<float*>(stream); };
    FloatStreams to{at(from.param), at(from.grad), {}};
    for (int s = 0; s < scene_.measured.rule->by_hand->states; ++s) to.states[s] = at(from.states[s]);
    return to;
  }

  void step_unfused() {
    const UnfusedContext context{numbers_, thrust_passes(), *blas_};
    for (const UnfusedPass pass : passes_) {
      float* scratch = scratch_.as<float>();
      for (const TensorStreams& tensor : scene_.streams) {
        pass(context, {floats(tensor), scratch, tensor.numel});
        scratch += tensor.numel;
      }
    }
  }

  Scene scene_;
  Device device_;
  std::size_t bytes_;
  DeviceBuffer from_, to_;
  CudaLimit limit_;
  plain::Numbers numbers_{};
  std::unique_ptr<Blas> blas_;
  std::span<const UnfusedPass> passes_;
  DeviceBuffer scratch_;  ///< A float for each element of the model.
};

}  // namespace

std::unique_ptr<Rivals> cuda_rivals(const Scene& scene) { return std::make_unique<CudaRivals>(scene); }

}  // namespace onepass::bench
