// cuda_rivals.cpp - what is timed beside onepass on a GPU.
#include "bench/rivals.hpp"

namespace onepass::bench {
namespace {

class CudaRivals final : public Rivals {
 public:
  explicit CudaRivals(const Scene& scene)
      : device_(scene.measured.device),
        parameters_(scene.measured.layout.parameters()),
        bytes_(copied_bytes(scene.traffic)),
        from_(device_, bytes_),
        to_(device_, bytes_) {
    fill_zero({device_, from_.data()}, bytes_);
  }

  std::vector<Rival> all() override {
    const auto run = [this] { copy({device_, to_.data()}, {device_, from_.data()}, bytes_); };
    return {{{kCopy, run, parameters_}, Leaves::memory_as_it_was}};
  }

 private:
  Device device_;
  std::int64_t parameters_;
  std::size_t bytes_;
  DeviceBuffer from_, to_;
};

}  // namespace

std::unique_ptr<Rivals> cuda_rivals(const Scene& scene) { return std::make_unique<CudaRivals>(scene); }

}  // namespace onepass::bench
