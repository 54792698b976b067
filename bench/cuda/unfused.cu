// unfused.cu - cuBLAS calls and Thrust transforms: the passes of a step without a fused kernel.
#include <cublas_v2.h>
#include <thrust/execution_policy.h>
#include <thrust/iterator/zip_iterator.h>
#include <thrust/transform.h>
#include <thrust/zip_function.h>

#include "bench/cuda/unfused.hpp"
#include "onepass/error.hpp"

namespace onepass::bench {
namespace {

void check(cublasStatus_t status, const char* call) {
  if (status != CUBLAS_STATUS_SUCCESS) {
    throw CudaError(std::string("onepass_bench: ") + call + ": " + cublasGetStatusString(status));
  }
}

class CuBlas final : public Blas {
 public:
  CuBlas() { check(cublasCreate(&handle_), "cublasCreate"); }
  ~CuBlas() override { (void)cublasDestroy(handle_); }
  CuBlas(const CuBlas&) = delete;
  CuBlas& operator=(const CuBlas&) = delete;

  void scale(std::int64_t count, float factor, float* x) const override {
    in_ranges(count, [&](std::int64_t at, int size) {
      check(cublasSscal(handle_, size, &factor, x + at, 1), "cublasSscal");
    });
  }
  void add(std::int64_t count, float factor, const float* x, float* y) const override {
    in_ranges(count, [&](std::int64_t at, int size) {
      check(cublasSaxpy(handle_, size, &factor, x + at, 1, y + at, 1), "cublasSaxpy");
    });
  }

 private:
  cublasHandle_t handle_{};
};

constexpr auto kQueued = thrust::cuda::par_nosync;

struct AddSquare {
  float weight;
  __device__ float operator()(float sum, float x) const { return sum + weight * (x * x); }
};
struct Maximum {
  __device__ float operator()(float largest, float x) const { return largest > x ? largest : x; }
};
struct OverRoot {
  float eps;
  __device__ float operator()(float above, float x) const { return above / sqrtf(x + eps); }
};
struct OverDeviation {
  float eps;
  __device__ float operator()(float above, float x, float mean) const {
    return above / sqrtf(fmaxf(x - mean * mean, 0.0f) + eps);
  }
};
struct Root {
  float factor, eps;
  __device__ float operator()(float x) const { return sqrtf(x) * factor + eps; }
};
struct Quotient {
  __device__ float operator()(float below, float above) const { return above / below; }
};

void add_squares(float* sum, const float* x, float weight, std::int64_t count) {
  thrust::transform(kQueued, sum, sum + count, x, sum, AddSquare{weight});
}
void maximum(float* largest, const float* x, std::int64_t count) {
  thrust::transform(kQueued, largest, largest + count, x, largest, Maximum{});
}
void over_root(float* to, const float* above, const float* x, float eps, std::int64_t count) {
  thrust::transform(kQueued, above, above + count, x, to, OverRoot{eps});
}
void over_deviation(float* to, const float* above, const float* x, const float* mean, float eps,
                    std::int64_t count) {
  const auto begin = thrust::make_zip_iterator(above, x, mean);
  thrust::transform(kQueued, begin, begin + count, to, thrust::make_zip_function(OverDeviation{eps}));
}
void roots(float* to, const float* x, float factor, float eps, std::int64_t count) {
  thrust::transform(kQueued, x, x + count, to, Root{factor, eps});
}
void quotient(float* below, const float* above, std::int64_t count) {
  thrust::transform(kQueued, below, below + count, above, below, Quotient{});
}

constexpr Passes kPasses{add_squares, maximum, over_root, over_deviation, roots, quotient};

}  // namespace

std::unique_ptr<Blas> cu_blas() { return std::make_unique<CuBlas>(); }
const Passes& thrust_passes() { return kPasses; }

}  // namespace onepass::bench
