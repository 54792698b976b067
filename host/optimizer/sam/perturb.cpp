// perturb.cpp - sharpness-aware minimization: perturb(), restore(), and what shards measure for them.
#include <algorithm>
#include <cmath>
#include <string>

#include "host/check/sentence.hpp"
#include "host/optimizer/optimizer.hpp"

namespace onepass {
namespace {

/// Throws InvalidArgument unless a member of Sam is at least 0 and finite in float32.
void check_member(const char* name, double value) {
  if (value >= 0.0 && std::isfinite(static_cast<float>(value))) return;
  refuse(std::string("Sam.") + name + " must be at least 0 and finite in float32, but is " + number(value));
}

/// Returns the first parameter that is a part of a larger tensor, or null.
const Parameter* first_shard(const std::vector<Parameter>& parameters) {
  const auto found = std::ranges::find_if(
      parameters, [](const Parameter& one) { return one.first != 0 || one.run != 0 || one.pitch != 0; });
  return found == parameters.end() ? nullptr : &*found;
}

}  // namespace

std::int64_t* Optimizer::Impl::checked_perturb_measure(const char* function, const Tensor& measure) const {
  return checked_words("the measure given to " + std::string(function) + "()", measure, step::kSumWords,
                       "a sum of squares");
}

void Optimizer::Impl::require_unperturbed(const char* function) const {
  if (!perturbed) return;
  refuse(std::string(function) + "() was called after perturb(); restore() puts the parameters back");
}

step::Perturbation Optimizer::Impl::perturbation(const char* function, const Sam& sam, Stream stream) {
  require_no_round(function);
  require_unperturbed(function);
  check_member("rho", sam.rho);
  check_member("eta", sam.eta);
  if (!sam.adaptive && sam.eta != 0.0) {
    refuse("Sam.eta is " + number(sam.eta) + ", but only adaptive SAM takes it");
  }
  if (!perturb_memory.is_made()) {
    if (backend->is_capturing(stream)) {
      refuse(std::string(function) +
             "() is being captured, but must have been called before, to allocate what it keeps");
    }
    perturb_memory = PerturbMemory(device, roster.parameters);
  }
  return perturb_memory.view(sam);
}

void Optimizer::Impl::restore(Stream stream) {
  if (!perturbed) return;
  backend->restore(table_memory.view(), perturb_memory.view({}), stream);
  perturbed = false;
}

void Optimizer::perturb(const Sam& sam, Stream stream) {
  if (const Parameter* const shard = first_shard(impl_->roster.parameters)) {
    refuse("perturb() takes the norm of whole tensors, but " + quoted(shard->name) +
           " is a part of one; shards call measure_perturbation() and perturb_measured()");
  }
  const step::Perturbation how = impl_->perturbation("perturb", sam, stream);
  impl_->backend->perturb(impl_->table_memory.view(), how, nullptr, stream);
  impl_->perturbed = true;
}

void Optimizer::measure_perturbation(const Sam& sam, const Tensor& into, Stream stream) {
  std::int64_t* const words = impl_->checked_perturb_measure("measure_perturbation", into);
  const step::Perturbation how = impl_->perturbation("measure_perturbation", sam, stream);
  impl_->backend->measure_perturbation(impl_->table_memory.view(), how, words, stream);
}

void Optimizer::perturb_measured(const Sam& sam, const Tensor& measure, Stream stream) {
  const std::int64_t* const words = impl_->checked_perturb_measure("perturb_measured", measure);
  const step::Perturbation how = impl_->perturbation("perturb_measured", sam, stream);
  impl_->backend->perturb(impl_->table_memory.view(), how, words, stream);
  impl_->perturbed = true;
}

void Optimizer::restore(Stream stream) { impl_->restore(stream); }

}  // namespace onepass
