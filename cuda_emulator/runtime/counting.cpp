// counting.cpp - prints and hands out the counts of kernels.
#include "runtime/counting.hpp"

#include <cstdio>
#include <mutex>

#include "runtime/device.hpp"
#include "runtime/process.hpp"

namespace cuda_emulator {
namespace {

struct Column {
  const char* title;
  unsigned long long cuda_emulator_counts::*member;
};

constexpr Column kColumns[] = {{"div", &cuda_emulator_counts::divisions},
                               {"sqrt", &cuda_emulator_counts::roots},
                               {"loads", &cuda_emulator_counts::loads},
                               {"stores", &cuda_emulator_counts::stores},
                               {"atomics", &cuda_emulator_counts::atomics},
                               {"local", &cuda_emulator_counts::local_accesses},
                               {"bytes read", &cuda_emulator_counts::bytes_read},
                               {"bytes written", &cuda_emulator_counts::bytes_written},
                               {"read sectors", &cuda_emulator_counts::read_sectors},
                               {"write sectors", &cuda_emulator_counts::write_sectors}};
constexpr int kWidth = 13;

}  // namespace

void print_statistics(const Device& device) {
  std::fprintf(stderr, "cuda_emulator: launches, PTX instructions,%s kernel\n",
               device.options.counts ? " counts," : "");
  if (device.options.counts) {
    std::fprintf(stderr, "%10s %14s ", "", "");
    for (const Column& column : kColumns) std::fprintf(stderr, " %*s", kWidth, column.title);
    std::fprintf(stderr, "\n");
  }
  for (const Kernel* kernel : device.kernels_by_name()) {
    std::fprintf(stderr, "%10llu %14llu ", static_cast<unsigned long long>(kernel->launches),
                 static_cast<unsigned long long>(kernel->instructions));
    for (const Column& column : kColumns) {
      if (device.options.counts) std::fprintf(stderr, " %*llu", kWidth, kernel->counts.*column.member);
    }
    std::fprintf(stderr, " %s\n", demangle(kernel->name).c_str());
  }
}

}  // namespace cuda_emulator

using namespace cuda_emulator;

extern "C" {

void cuda_emulator_start_counting() {
  Device& device = Device::instance();
  const std::lock_guard lock(device.mutex);
  for (Kernel* kernel : device.kernels_by_name()) kernel->counts = {};
  device.options.counts = true;
}

void cuda_emulator_stop_counting() {
  Device& device = Device::instance();
  const std::lock_guard lock(device.mutex);
  device.options.counts = false;
}

void cuda_emulator_visit_counts(void (*visit)(void*, const char*, const cuda_emulator_counts*),
                                void* context) {
  const Device& device = Device::instance();
  for (const Kernel* kernel : device.kernels_by_name()) {
    if (kernel->counts.launches > 0) visit(context, demangle(kernel->name).c_str(), &kernel->counts);
  }
}

}  // extern "C"
