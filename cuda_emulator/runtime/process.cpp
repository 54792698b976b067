// process.cpp - the start and end of the process: host accesses to device memory, leaks, statistics, exit
// code.
#include "runtime/process.hpp"

#include <malloc.h>
#include <signal.h>
#include <unistd.h>

#include <algorithm>
#include <cstdio>
#include <cstdlib>
#include <cstring>

#include "runtime/counting.hpp"
#include "runtime/device.hpp"

namespace cuda_emulator {
namespace {

constexpr int kFailureExitCode = 99;  // Test frameworks do not return this code, so it stands out.

struct sigaction previous_action;

/// Reports a host access to device memory. The access ends the process, as it would with a device.
void on_segmentation_fault(int signal, siginfo_t* details, void* context) {
  const auto address = reinterpret_cast<std::uint64_t>(details->si_addr);
  Device& device = Device::instance();
  if (device.memory.is_device_address(address)) {
    const Allocation* near = device.memory.nearest_below(address);
    std::string what = "the address belongs to no allocation";
    if (near != nullptr) what = "byte " + std::to_string(address - near->base) + " of " + near->origin;
    Reports::instance().add({Fault::host_access, {}, what + "; run under a debugger to see the line", {}, 0});
    std::fflush(nullptr);
  }
  sigaction(SIGSEGV, &previous_action, nullptr);
  if ((previous_action.sa_flags & SA_SIGINFO) != 0 && previous_action.sa_sigaction != nullptr) {
    previous_action.sa_sigaction(signal, details, context);
  }
  // After the return the instruction runs again, now with the previous action.
}

/// A launch allocates and frees some megabytes. By default glibc returns them to the operating system each
/// time, and the page faults of the next launch then take longer than a small kernel.
[[gnu::constructor]] void keep_freed_memory() {
  constexpr int kBytes = 256 << 20;
  mallopt(M_TRIM_THRESHOLD, kBytes);
  mallopt(M_MMAP_THRESHOLD, kBytes);
}

[[gnu::constructor]] void watch_host_accesses() {
  struct sigaction action = {};
  action.sa_sigaction = on_segmentation_fault;
  action.sa_flags = SA_SIGINFO | SA_NODEFER;
  sigaction(SIGSEGV, &action, &previous_action);
}

void report_leaks(Device& device) {
  constexpr std::size_t kShown = 8;  // Enough to find the place. A test fixture can leak hundreds.
  for (const AllocationKind kind : {AllocationKind::device, AllocationKind::pinned_host}) {
    const std::vector<const Allocation*> leaked = device.memory.live(kind);
    std::string what;
    for (std::size_t k = 0; k < std::min(kShown, leaked.size()); ++k) {
      what += (k == 0 ? "" : ", ") + std::to_string(leaked[k]->bytes) + " bytes of " + leaked[k]->origin;
    }
    if (leaked.size() > kShown) what += " and " + std::to_string(leaked.size() - kShown) + " more";
    if (!leaked.empty()) Reports::instance().add({Fault::leak, {}, what, {}, 0});
  }
}

/// Appends one line per kernel, so that the counts of many processes can be added up.
void append_kernel_log(const Device& device) {
  std::FILE* file = std::fopen(device.options.kernel_log.c_str(), "a");
  if (file == nullptr) return;
  std::string text;
  for (const Kernel* kernel : device.kernels_by_name()) {
    text += std::to_string(kernel->launches) + '\t' + demangle(kernel->name) + '\n';
  }
  std::fwrite(text.data(), 1, text.size(), file);
  std::fclose(file);
}

[[gnu::destructor]] void end_of_process() {
  Device& device = Device::instance();
  device.queue.finish_all();  // A queued cudaFreeAsync is not a leak.
  report_leaks(device);
  if (device.options.statistics) print_statistics(device);
  if (!device.options.kernel_log.empty()) append_kernel_log(device);
  const std::uint64_t count = Reports::instance().count();
  if (count == 0) return;
  std::fflush(nullptr);
  std::fprintf(stderr, "cuda_emulator: %llu findings; the process fails\n",
               static_cast<unsigned long long>(count));
  _exit(kFailureExitCode);
}

std::size_t write_text(const std::string& text, char* to, std::size_t capacity) {
  if (capacity == 0) return text.size();
  const std::size_t length = std::min(text.size(), capacity - 1);
  std::memcpy(to, text.data(), length);
  to[length] = '\0';
  return text.size();
}

}  // namespace
}  // namespace cuda_emulator

using namespace cuda_emulator;

extern "C" {

unsigned long long cuda_emulator_findings() { return Reports::instance().count(); }

std::size_t cuda_emulator_unlaunched_kernels(char* names, std::size_t capacity) {
  const Device& device = Device::instance();
  std::string text;
  std::size_t count = 0;
  for (const Kernel* kernel : device.kernels_by_name()) {
    if (kernel->launches > 0) continue;
    text += demangle(kernel->name) + "\n";
    ++count;
  }
  write_text(text, names, capacity);
  return count;
}

std::size_t cuda_emulator_take_findings(char* text, std::size_t capacity) {
  std::string all;
  for (const Finding& finding : Reports::instance().take()) {
    all += std::string(name_of(finding.fault)) + "|" + finding.file + "|" + std::to_string(finding.line) +
           "|" + finding.where + "|" + finding.what + "\n";
  }
  return write_text(all, text, capacity);
}

}  // extern "C"
