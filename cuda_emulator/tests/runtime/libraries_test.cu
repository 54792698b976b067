// libraries_test.cu - tests kernels of Thrust and CUB, and the stand-in for cuBLAS.
#include <cublas_v2.h>
#include <gtest/gtest.h>
#include <thrust/device_vector.h>
#include <thrust/host_vector.h>
#include <thrust/reduce.h>
#include <thrust/scan.h>
#include <thrust/sequence.h>
#include <thrust/sort.h>
#include <thrust/transform.h>

#include <cmath>
#include <cub/block/block_reduce.cuh>
#include <limits>
#include <vector>

#include "runtime/process.hpp"

namespace {

class Libraries : public testing::Test {
 protected:
  ~Libraries() override { EXPECT_EQ(cuda_emulator_findings(), 0u); }
};

TEST_F(Libraries, ThrustFillsTransformsAndReduces) {
  thrust::device_vector<float> x(1000, 2.0f), y(1000);
  thrust::sequence(y.begin(), y.end());
  thrust::transform(x.begin(), x.end(), y.begin(), x.begin(), thrust::plus<float>());
  EXPECT_EQ(thrust::reduce(x.begin(), x.end()), 2.0f * 1000 + 999.0f * 1000 / 2);
  EXPECT_EQ(static_cast<float>(x[7]), 9.0f);
}

TEST_F(Libraries, ThrustSortsAndScans) {
  const int n = 20000;
  thrust::host_vector<unsigned> host(n);
  unsigned state = 1;
  for (unsigned& x : host) x = state = state * 1664525u + 1013904223u;
  thrust::device_vector<unsigned> device = host;
  thrust::sort(device.begin(), device.end());
  thrust::host_vector<unsigned> sorted = device;
  EXPECT_TRUE(std::is_sorted(sorted.begin(), sorted.end()));
  thrust::device_vector<int> ones(n, 1), sums(n);
  thrust::inclusive_scan(ones.begin(), ones.end(), sums.begin());
  EXPECT_EQ(static_cast<int>(sums[n - 1]), n);
}

__global__ void block_sums(const float* in, float* out) {
  using Reduce = cub::BlockReduce<float, 128>;
  __shared__ typename Reduce::TempStorage storage;
  const float sum = Reduce(storage).Sum(in[blockIdx.x * 128 + threadIdx.x]);
  if (threadIdx.x == 0) out[blockIdx.x] = sum;
}

TEST_F(Libraries, CubReducesABlock) {
  thrust::device_vector<float> in(256, 0.5f), out(2);
  block_sums<<<2, 128>>>(thrust::raw_pointer_cast(in.data()), thrust::raw_pointer_cast(out.data()));
  EXPECT_EQ(static_cast<float>(out[0]), 64.0f);
  EXPECT_EQ(static_cast<float>(out[1]), 64.0f);
}

__global__ void functions(const float* x, float* out) {
  const float v = x[threadIdx.x];
  out[4 * threadIdx.x] = expf(v);
  out[4 * threadIdx.x + 1] = logf(v);
  out[4 * threadIdx.x + 2] = powf(v, 1.7f);
  out[4 * threadIdx.x + 3] = static_cast<float>(pow(static_cast<double>(v), 0.3));
}

TEST_F(Libraries, MathFunctionsAreWithinTwoUlp) {
  std::vector<float> host;
  for (int k = 1; k <= 64; ++k) host.push_back(0.37f * static_cast<float>(k));
  thrust::device_vector<float> x = host, out(4 * 64);
  functions<<<1, 64>>>(thrust::raw_pointer_cast(x.data()), thrust::raw_pointer_cast(out.data()));
  const thrust::host_vector<float> got = out;
  for (std::size_t k = 0; k < host.size(); ++k) {
    const double v = host[k];
    const double wanted[] = {std::exp(v), std::log(v), std::pow(v, static_cast<double>(1.7f)),
                             std::pow(v, 0.3)};
    for (std::size_t f = 0; f < 4; ++f) {
      const auto near = static_cast<float>(wanted[f]);
      const float ulp = std::nextafter(std::fabs(near), INFINITY) - std::fabs(near);
      EXPECT_NEAR(got[4 * k + f], near, 2 * ulp) << "function " << f << " of " << v;
    }
  }
}

std::vector<float> multiply(cublasOperation_t ta, cublasOperation_t tb, float beta, float old) {
  // A = [1 2 3; 4 5 6] is 2x3 and B = [1 4; 2 5; 3 6] is 3x2. Both are stored in the given transposition.
  const std::vector<float> columns_of_a{1, 4, 2, 5, 3, 6}, rows_of_a{1, 2, 3, 4, 5, 6};
  thrust::device_vector<float> a = ta == CUBLAS_OP_N ? columns_of_a : rows_of_a;
  thrust::device_vector<float> b = tb == CUBLAS_OP_N ? rows_of_a : columns_of_a;
  thrust::device_vector<float> c(4, old);
  cublasHandle_t handle = nullptr;
  EXPECT_EQ(cublasCreate(&handle), CUBLAS_STATUS_SUCCESS);
  const float alpha = 2;
  EXPECT_EQ(cublasSgemm(handle, ta, tb, 2, 2, 3, &alpha, thrust::raw_pointer_cast(a.data()),
                        ta == CUBLAS_OP_N ? 2 : 3, thrust::raw_pointer_cast(b.data()),
                        tb == CUBLAS_OP_N ? 3 : 2, &beta, thrust::raw_pointer_cast(c.data()), 2),
            CUBLAS_STATUS_SUCCESS);
  EXPECT_EQ(cublasDestroy(handle), CUBLAS_STATUS_SUCCESS);
  const thrust::host_vector<float> result = c;
  return {result.begin(), result.end()};
}

TEST_F(Libraries, GemmMultipliesInAllTranspositions) {
  for (const auto ta : {CUBLAS_OP_N, CUBLAS_OP_T}) {
    for (const auto tb : {CUBLAS_OP_N, CUBLAS_OP_T}) {
      EXPECT_EQ(multiply(ta, tb, 0, std::numeric_limits<float>::quiet_NaN()),
                (std::vector<float>{28, 64, 64, 154}));
      EXPECT_EQ(multiply(ta, tb, 1, 1), (std::vector<float>{29, 65, 65, 155}));
    }
  }
}

TEST_F(Libraries, AxpyAddsAndScalMultiplies) {
  thrust::device_vector<float> x(6, 1.0f), y(3, 2.0f);
  cublasHandle_t handle = nullptr;
  ASSERT_EQ(cublasCreate(&handle), CUBLAS_STATUS_SUCCESS);
  const float three = 3;
  EXPECT_EQ(cublasSaxpy(handle, 3, &three, thrust::raw_pointer_cast(x.data()), 2,
                        thrust::raw_pointer_cast(y.data()), 1),
            CUBLAS_STATUS_SUCCESS);
  EXPECT_EQ(cublasSscal(handle, 3, &three, thrust::raw_pointer_cast(y.data()), 1), CUBLAS_STATUS_SUCCESS);
  EXPECT_EQ(static_cast<float>(y[2]), 15.0f);
  EXPECT_EQ(cublasDestroy(handle), CUBLAS_STATUS_SUCCESS);
}

}  // namespace
