// kernel_work.cpp - see kernel_work.hpp.
#include "support/work/kernel_work.hpp"

#include <dlfcn.h>

#include <stdexcept>

namespace onepass::test {
namespace {

constexpr Device kGpu = Device::cuda(0);
/// Each is one full turn of a thread block of 256 threads with tiles of 8 elements.
constexpr std::int64_t kNumel = 2048, kMore = 2048;

using Visitor = void (*)(void*, const char*, const cuda_emulator_counts*);

/// A function of the emulator; null if the process uses another CUDA runtime.
template <class Function>
Function* emulated(const char* name) {
  return reinterpret_cast<Function*>(dlsym(RTLD_DEFAULT, name));
}

cuda_emulator_counts find(const KernelCounts& kernels, const std::string& part) {
  for (const auto& [name, counts] : kernels) {
    if (name.find(part) == std::string::npos) continue;
    if (counts.launches == 1) return counts;
    throw std::runtime_error(name + " was launched " + std::to_string(counts.launches) + " times in a step");
  }
  throw std::runtime_error("a step launched no kernel " + part);
}

}  // namespace

bool work_is_counted() { return emulated<void()>("cuda_emulator_start_counting") != nullptr; }

KernelCounts count_kernels(const std::function<void()>& work) {
  KernelCounts kernels;
  emulated<void()>("cuda_emulator_start_counting")();
  work();
  synchronize(kGpu);
  emulated<void()>("cuda_emulator_stop_counting")();
  const Visitor take = [](void* context, const char* kernel, const cuda_emulator_counts* counts) {
    static_cast<KernelCounts*>(context)->emplace(kernel, *counts);
  };
  emulated<void(Visitor, void*)>("cuda_emulator_visit_counts")(take, &kernels);
  return kernels;
}

CountedKernel count_step(const WorkStep& step, std::int64_t numel, const std::string& kernel) {
  PreparedStep prepared(step, kGpu, numel);
  const KernelCounts kernels = count_kernels([&] { prepared.step(); });
  return {find(kernels, kernel), prepared.traffic()};
}

namespace {

/// Splits the counts for kNumel and for kNumel + kMore elements into work per element and work per chunk.
KernelWork work_between(const CountedKernel& few, const CountedKernel& many) {
  using Count = unsigned long long cuda_emulator_counts::*;
  const auto each = [&](Count member) {
    return (static_cast<double>(many.counts.*member) - static_cast<double>(few.counts.*member)) / kMore;
  };
  const auto once = [&](Count member) {
    return static_cast<double>(few.counts.*member) - kNumel * each(member);
  };
  using Counts = cuda_emulator_counts;
  return {.instructions = each(&Counts::instructions),
          .divisions = each(&Counts::divisions),
          .roots = each(&Counts::roots),
          .bytes_read = each(&Counts::bytes_read),
          .bytes_written = each(&Counts::bytes_written),
          .read_sectors = each(&Counts::read_sectors),
          .write_sectors = each(&Counts::write_sectors),
          .local_accesses = each(&Counts::local_accesses),
          .chunk_instructions = once(&Counts::instructions),
          .chunk_sectors = once(&Counts::read_sectors) + once(&Counts::write_sectors),
          .chunk_bytes = once(&Counts::bytes_read) + once(&Counts::bytes_written),
          .traffic = many.traffic};
}

}  // namespace

KernelWork work_of(const WorkStep& step, const std::string& kernel) {
  WorkStep one_chunk = step;
  one_chunk.options.chunk_size = kNumel + kMore;
  return work_between(count_step(one_chunk, kNumel, kernel), count_step(one_chunk, kNumel + kMore, kernel));
}

KernelWork work_of(const Prepared& prepared, const std::string& kernel) {
  const auto counted = [&](std::int64_t numel) {
    const std::function<void()> launch = prepared(numel);
    synchronize(kGpu);
    return CountedKernel{find(count_kernels(launch), kernel), 0.0};
  };
  return work_between(counted(kNumel), counted(kNumel + kMore));
}

}  // namespace onepass::test
