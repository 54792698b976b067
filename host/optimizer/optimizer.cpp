// optimizer.cpp - how an Optimizer is made, and its step. Its other functions are in registration.cpp,
// groups.cpp, optimizer_gradients.cpp, sam/perturb.cpp, state_dict.cpp and footprint.cpp.
#include "host/optimizer/optimizer.hpp"

#include <algorithm>
#include <string>
#include <utility>

#include "host/check/sentence.hpp"
#include "host/optimizer/gradient_settings.hpp"
#include "onepass/error.hpp"
#include "step/lookup.hpp"

namespace onepass {
namespace {

/// Chunks start at a multiple of this, where a block of 32 elements, a Philox draw and a vector of any width
/// also start.
constexpr std::int64_t kChunkMultiple = 64;

/// Returns Options::chunk_size, or `fallback` if it is 0. Throws InvalidArgument if it is no valid size.
std::int64_t checked_chunk_size(const Options& options, std::int64_t fallback) {
  if (options.chunk_size == 0) return fallback;
  if (options.chunk_size < 0 || options.chunk_size % kChunkMultiple != 0) {
    throw InvalidArgument("onepass: Options::chunk_size must be a positive multiple of " +
                          std::to_string(kChunkMultiple) + ", but is " + std::to_string(options.chunk_size));
  }
  return options.chunk_size;
}

/// Makes the backend of the request's device.
std::unique_ptr<Backend> make_backend(const BackendRequest& request) {
  return request.device.is_cuda() ? make_cuda_backend(request) : make_cpu_backend(request);
}

}  // namespace

Optimizer::Impl::Impl(const std::vector<Rule>& rules, std::vector<Parameter> added, const Options& options)
    : groups(rules),
      settings(checked_settings(handling, Device::cpu())),
      storage({options.storage, options.float32_storage}),
      keeps(Kept::of(options)),
      accumulates(options.accumulates_gradients),
      device(device_of(context(), added)),
      backend(make_backend({groups.rule_types, device, options})),
      chunk_size(checked_chunk_size(options, backend->default_chunk_size())) {
  const EMA ema = keeps.ema.value_or(EMA{.decay = 0.0});
  settings.store = {.seed = options.seed,
                    .ema_decay = ema.decay,
                    .warms_up_ema = ema.warmup ? 1u : 0u,
                    .corrects_ema_bias = ema.bias_correction ? 1u : 0u,
                    .lookahead_k = keeps.lookahead ? keeps.lookahead->k : 0,
                    .lookahead_alpha = keeps.lookahead ? static_cast<float>(keeps.lookahead->alpha) : 0.0f,
                    .reserved = 0};
  enroll(std::move(added));
}

Optimizer::Impl::~Impl() { backend->wait(); }

Optimizer::Optimizer(const std::vector<Rule>& rules, std::vector<Parameter> parameters,
                     const Options& options, Collected /*tag*/)
    : impl_(std::make_unique<Impl>(rules, std::move(parameters), options)) {}
Optimizer::~Optimizer() = default;
Optimizer::Optimizer(Optimizer&&) noexcept = default;
Optimizer& Optimizer::operator=(Optimizer&&) noexcept = default;

void Optimizer::step(Stream stream) {
  impl_->require_no_round("step");
  impl_->restore(stream);
  impl_->backend->step(impl_->table_memory.view(), impl_->measured(), stream);
}

void Optimizer::zero_grad(Stream stream) { impl_->backend->zero_grad(impl_->table_memory.view(), stream); }

void Optimizer::set_gradients(std::span<const Tensor> gradients, Stream stream) {
  check_gradients(impl_->context(), gradients, impl_->device);
  std::vector<Parameter>& parameters = impl_->roster.parameters;
  std::size_t first = parameters.size();
  std::size_t last = 0;
  std::vector<void*> pointers(parameters.size());
  for (std::size_t i = 0; i < parameters.size(); ++i) {
    pointers[i] = gradients[i].data;
    if (pointers[i] == parameters[i].grad.data) continue;
    first = std::min(first, i);
    last = i + 1;
  }
  if (first < last) {
    void* const* const entries = step::callers_gradients(impl_->table_memory.view());
    impl_->backend->write(const_cast<void**>(entries) + first,
                          std::as_bytes(std::span(pointers).subspan(first, last - first)), stream);
  }
  for (std::size_t i = 0; i < parameters.size(); ++i) {
    const DType before = parameters[i].grad.dtype;
    parameters[i].grad = gradients[i];
    if (gradients[i].dtype != before) impl_->patch_entry(i, stream);
  }
}

Device Optimizer::device() const { return impl_->device; }

std::size_t Optimizer::parameter_count() const { return impl_->roster.parameters.size(); }

std::span<const char* const> Optimizer::state_names() const { return impl_->groups.state_names; }

std::span<const char* const> Optimizer::state_names(std::string_view parameter) const {
  return impl_->variant_of(impl_->roster.parameters[impl_->find_parameter(parameter)]).state_names;
}

}  // namespace onepass
