// initialize.cpp - checks the arguments of initialize() and calls the backend.
#include "onepass/initializers/initialize.hpp"

#include <string>
#include <vector>

#include "host/check/check_tensor.hpp"
#include "host/check/sentence.hpp"
#include "host/cpu/random.hpp"
#include "host/cpu/threads/float_environment.hpp"
#include "host/cuda/random.hpp"
#include "host/initializers/orthogonal.hpp"
#include "host/initializers/shape.hpp"

namespace onepass {
namespace {

using initializers::Distribution;
using initializers::DistributionKind;
using Shape = std::span<const std::int64_t>;

[[noreturn]] void fail(const std::string& sentence) {
  throw InvalidArgument("onepass: initialize: " + sentence);
}

/// Returns the range of the logical tensor's elements to fill.
step::ElementRange check_range(const Tensor& tensor, Shape shape, const RandomKey& key) {
  check_tensor({"initialize", "tensor"}, tensor);
  const std::int64_t logical = initializers::elements_of(shape);
  const std::string of_shape = "the shape " + initializers::shape_text(shape) + " has " + elements(logical);
  if (logical > random::kMostElements) fail(of_shape + ", and at most 2^50 can be drawn");
  if (!key.first.has_value()) {
    if (logical != tensor.numel) fail(of_shape + ", but the tensor has " + std::to_string(tensor.numel));
    return {0, tensor.numel};
  }
  if (*key.first < 0 || *key.first > logical - tensor.numel) {
    fail(of_shape + ", and " + elements(tensor.numel) + " from element " + std::to_string(*key.first) +
         " on do not lie within");
  }
  return {*key.first, tensor.numel};
}

/// Computes the whole matrix, even for a shard, because every element depends on all of it.
void fill_orthogonal(const step::FillJob& job, const Tensor& tensor, Shape shape, Stream stream) {
  const initializers::MatrixShape matrix{shape[0], initializers::elements_of(shape.subspan(1))};
  const std::int64_t numel = matrix.rows * matrix.cols;
  std::vector<float> normals(static_cast<std::size_t>(numel));
  step::FillJob draw = job;
  draw.distribution = initializers::normal(0.0, 1.0);
  draw.range = {0, numel};
  draw.out = normals.data();
  cpu::fill(draw);
  const std::vector<float> values = initializers::orthogonalize(matrix, job.distribution.std, normals);
  copy({tensor.device, tensor.data}, {Device::cpu(), values.data() + job.range.first}, tensor.bytes(),
       stream);
}

}  // namespace

void initialize(const Tensor& tensor, std::span<const std::int64_t> shape, const Initializer& initializer,
                const RandomKey& key, Stream stream) {
  const cpu::DefaultFloatEnvironment environment;
  const step::ElementRange range = check_range(tensor, shape, key);
  const Distribution distribution =
      std::visit([&](const auto& chosen) { return chosen.distribution(shape); }, initializer);
  if (range.count == 0) return;
  const step::FillJob job{.distribution = distribution,
                          .seed = key.seed,
                          .tensor = key.tensor,
                          .range = range,
                          .out = static_cast<float*>(tensor.data)};
  if (distribution.kind == DistributionKind::orthogonal) {
    fill_orthogonal(job, tensor, shape, stream);
  } else if (tensor.device.is_cuda()) {
    cuda::fill(tensor.device.index(), job, stream);
  } else {
    cpu::fill(job);
  }
}

}  // namespace onepass
