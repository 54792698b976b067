// cublas.cpp - a stand-in for libcublas.so.13. Matrices are column-major. Sums run in the order of the inner
// index with one fma per term, so they have the same bits on every machine, but not the bits of the real
// library.
#include <cublas_v2.h>

#include <cmath>

#include "runtime/library_work.hpp"

// The target of a `cublasHandle_t`.
struct cublasContext {
  cudaStream_t stream = nullptr;
  cublasPointerMode_t pointer_mode = CUBLAS_POINTER_MODE_HOST;
};

namespace {

using cuda_emulator::LibraryTask;
using cuda_emulator::Range;
using cuda_emulator::Use;

cublasStatus_t submit(cublasHandle_t handle, const LibraryTask& task) {
  const cudaError_t error = cuda_emulator_submit(handle->stream, &task);
  return error == cudaSuccess ? CUBLAS_STATUS_SUCCESS : CUBLAS_STATUS_EXECUTION_FAILED;
}

std::uint64_t address_of(const void* pointer) { return reinterpret_cast<std::uint64_t>(pointer); }

/// Returns the bytes of a matrix, column by column.
Range columns(const float* matrix, int rows, int columns, int leading, Use use) {
  return {address_of(matrix), 4 * static_cast<std::uint64_t>(rows), static_cast<std::uint64_t>(columns),
          4 * static_cast<std::uint64_t>(leading), use};
}

/// Returns the bytes of a vector's elements.
Range elements(const float* vector, int count, int stride, Use use) {
  if (stride == 1) return {address_of(vector), 4 * static_cast<std::uint64_t>(count), 1, 0, use};
  return {address_of(vector), 4, static_cast<std::uint64_t>(count), 4 * static_cast<std::uint64_t>(stride),
          use};
}

struct Gemm {
  bool transpose_a, transpose_b;
  int m, n, k;
  float alpha, beta;
  int lda, ldb, ldc;

  float element_a(const float* a, int row, int inner) const {
    return transpose_a ? a[inner + std::size_t(row) * lda] : a[row + std::size_t(inner) * lda];
  }
  float element_b(const float* b, int inner, int column) const {
    return transpose_b ? b[column + std::size_t(inner) * ldb] : b[inner + std::size_t(column) * ldb];
  }

  void run(const float* a, const float* b, float* c) const {
    // A copy of op(A) without transposition and gaps, so that the innermost loop reads consecutive elements.
    std::vector<float> packed(std::size_t(m) * k);
    for (int inner = 0; inner < k; ++inner) {
      for (int row = 0; row < m; ++row) packed[row + std::size_t(inner) * m] = element_a(a, row, inner);
    }
    std::vector<float> sums(m);
    for (int column = 0; column < n; ++column) {
      std::fill(sums.begin(), sums.end(), 0.0f);
      for (int inner = 0; inner < k; ++inner) {
        const float factor = element_b(b, inner, column);
        const float* from = &packed[std::size_t(inner) * m];
        for (int row = 0; row < m; ++row) sums[row] = std::fma(from[row], factor, sums[row]);
      }
      float* to = c + std::size_t(column) * ldc;
      // If beta is zero, the old values must not matter, not even a NaN.
      for (int row = 0; row < m; ++row) to[row] = alpha * sums[row] + (beta == 0 ? 0.0f : beta * to[row]);
    }
  }
};

bool is_valid(const Gemm& g) {
  const int rows_a = g.transpose_a ? g.k : g.m;
  const int rows_b = g.transpose_b ? g.n : g.k;
  return g.m >= 0 && g.n >= 0 && g.k >= 0 && g.lda >= std::max(1, rows_a) && g.ldb >= std::max(1, rows_b) &&
         g.ldc >= std::max(1, g.m);
}

cublasStatus_t submit_gemm(cublasHandle_t handle, const Gemm& g, const float* a, const float* b, float* c) {
  if (!is_valid(g)) return CUBLAS_STATUS_INVALID_VALUE;
  if (g.m == 0 || g.n == 0) return CUBLAS_STATUS_SUCCESS;
  LibraryTask task;
  task.name = "cublasSgemm";
  const bool use_product = g.alpha != 0 && g.k > 0;
  task.ranges.push_back(columns(c, g.m, g.n, g.ldc, g.beta == 0 ? Use::write : Use::update));
  if (use_product) {
    task.ranges.push_back(g.transpose_a ? columns(a, g.k, g.m, g.lda, Use::read)
                                        : columns(a, g.m, g.k, g.lda, Use::read));
    task.ranges.push_back(g.transpose_b ? columns(b, g.n, g.k, g.ldb, Use::read)
                                        : columns(b, g.k, g.n, g.ldb, Use::read));
  }
  task.work = [g, use_product](const std::vector<char*>& places) {
    Gemm what = g;
    if (!use_product) what.k = 0;
    const auto* left = use_product ? reinterpret_cast<const float*>(places[1]) : nullptr;
    const auto* right = use_product ? reinterpret_cast<const float*>(places[2]) : nullptr;
    what.run(left, right, reinterpret_cast<float*>(places[0]));
  };
  return submit(handle, task);
}

/// Returns whether scalars lie in host memory. The stand-in supports no others.
bool has_host_scalars(cublasHandle_t handle) { return handle->pointer_mode == CUBLAS_POINTER_MODE_HOST; }

}  // namespace

extern "C" {

cublasStatus_t cublasCreate_v2(cublasHandle_t* handle) {
  *handle = new cublasContext;
  return CUBLAS_STATUS_SUCCESS;
}

cublasStatus_t cublasDestroy_v2(cublasHandle_t handle) {
  if (handle == nullptr) return CUBLAS_STATUS_NOT_INITIALIZED;
  delete handle;
  return CUBLAS_STATUS_SUCCESS;
}

cublasStatus_t cublasGetVersion_v2(cublasHandle_t, int* version) {
  *version = CUBLAS_VERSION;
  return CUBLAS_STATUS_SUCCESS;
}

cublasStatus_t cublasSetStream_v2(cublasHandle_t handle, cudaStream_t stream) {
  handle->stream = stream;
  return CUBLAS_STATUS_SUCCESS;
}

cublasStatus_t cublasGetStream_v2(cublasHandle_t handle, cudaStream_t* stream) {
  *stream = handle->stream;
  return CUBLAS_STATUS_SUCCESS;
}

cublasStatus_t cublasSetMathMode(cublasHandle_t, cublasMath_t) { return CUBLAS_STATUS_SUCCESS; }

cublasStatus_t cublasSetWorkspace_v2(cublasHandle_t, void*, std::size_t) { return CUBLAS_STATUS_SUCCESS; }

cublasStatus_t cublasSetPointerMode_v2(cublasHandle_t handle, cublasPointerMode_t mode) {
  handle->pointer_mode = mode;
  return CUBLAS_STATUS_SUCCESS;
}

cublasStatus_t cublasSgemm_v2(cublasHandle_t handle, cublasOperation_t transpose_a,
                              cublasOperation_t transpose_b, int m, int n, int k, const float* alpha,
                              const float* a, int lda, const float* b, int ldb, const float* beta, float* c,
                              int ldc) {
  if (!has_host_scalars(handle)) return CUBLAS_STATUS_NOT_SUPPORTED;
  const Gemm gemm{
      transpose_a != CUBLAS_OP_N, transpose_b != CUBLAS_OP_N, m, n, k, *alpha, *beta, lda, ldb, ldc};
  return submit_gemm(handle, gemm, a, b, c);
}

cublasStatus_t cublasSaxpy_v2(cublasHandle_t handle, int n, const float* alpha, const float* x, int stride_x,
                              float* y, int stride_y) {
  if (!has_host_scalars(handle) || stride_x < 1 || stride_y < 1) return CUBLAS_STATUS_NOT_SUPPORTED;
  if (n <= 0) return CUBLAS_STATUS_SUCCESS;
  LibraryTask task;
  task.name = "cublasSaxpy";
  task.ranges = {elements(x, n, stride_x, Use::read), elements(y, n, stride_y, Use::update)};
  task.work = [=, factor = *alpha](const std::vector<char*>& places) {
    const auto* from = reinterpret_cast<const float*>(places[0]);
    auto* to = reinterpret_cast<float*>(places[1]);
    for (std::ptrdiff_t i = 0; i < n; ++i)
      to[i * stride_y] = std::fma(factor, from[i * stride_x], to[i * stride_y]);
  };
  return submit(handle, task);
}

cublasStatus_t cublasSscal_v2(cublasHandle_t handle, int n, const float* alpha, float* x, int stride) {
  if (!has_host_scalars(handle) || stride < 1) return CUBLAS_STATUS_NOT_SUPPORTED;
  if (n <= 0) return CUBLAS_STATUS_SUCCESS;
  LibraryTask task;
  task.name = "cublasSscal";
  task.ranges = {elements(x, n, stride, Use::update)};
  task.work = [=, factor = *alpha](const std::vector<char*>& places) {
    auto* to = reinterpret_cast<float*>(places[0]);
    for (std::ptrdiff_t i = 0; i < n; ++i) to[i * stride] *= factor;
  };
  return submit(handle, task);
}

const char* cublasGetStatusName(cublasStatus_t status) {
  switch (status) {
    case CUBLAS_STATUS_SUCCESS:
      return "CUBLAS_STATUS_SUCCESS";
    case CUBLAS_STATUS_NOT_INITIALIZED:
      return "CUBLAS_STATUS_NOT_INITIALIZED";
    case CUBLAS_STATUS_INVALID_VALUE:
      return "CUBLAS_STATUS_INVALID_VALUE";
    case CUBLAS_STATUS_EXECUTION_FAILED:
      return "CUBLAS_STATUS_EXECUTION_FAILED";
    case CUBLAS_STATUS_NOT_SUPPORTED:
      return "CUBLAS_STATUS_NOT_SUPPORTED";
    default:
      return "a status that the stand-in never returns";
  }
}

const char* cublasGetStatusString(cublasStatus_t status) { return cublasGetStatusName(status); }

}  // extern "C"
