// device.hpp - the emulated device, and the state and functions that the runtime calls share.
#pragma once

#include <cuda_runtime_api.h>

#include <map>
#include <memory>
#include <mutex>
#include <string>
#include <vector>

#include "decode/image.hpp"
#include "memory/device_memory.hpp"
#include "runtime/options.hpp"
#include "runtime/queue.hpp"

namespace cuda_emulator {

/// PTX of one translation unit. It is read when the process first uses part of it.
struct FatBinary {
  const void* data = nullptr;
  std::unique_ptr<Image> image;
};

struct Kernel {
  std::string name;
  FatBinary* binary = nullptr;
  std::uint64_t max_dynamic_shared = 0;  ///< Set by cudaFuncSetAttribute; 0 means the default limit.
  std::uint64_t launches = 0;
  std::uint64_t instructions = 0;
  cuda_emulator_counts counts{};  ///< Counts of the launches since counting was last started.
};

struct DeviceVariable {
  std::string name;
  FatBinary* binary = nullptr;
};

constexpr std::uint64_t kStaticSharedLimit = 49152;
constexpr std::uint64_t kSharedLimit = 166912;  // Limit of compute capability 8.0 with opt-in.
constexpr unsigned kComputeCapability = 80;

class Device {
 public:
  /// Returns the device. It is created at the first use and never destroyed, because the process unregisters
  /// its kernels after `main`.
  static Device& instance();

  Options options;
  std::recursive_mutex mutex;
  DeviceMemory memory;
  WorkQueue queue;
  std::vector<std::unique_ptr<FatBinary>> binaries;
  std::map<const void*, std::unique_ptr<Kernel>> kernels;  ///< The key is the address of the host stub.
  std::map<const void*, DeviceVariable> variables;         ///< The key is the address of the host shadow.
  std::vector<std::unique_ptr<Event>> events;

  std::vector<Kernel*> kernels_by_name() const;
  Kernel* find_kernel(const void* host_function);
  const Program& program(Kernel& kernel);
  Image& image(FatBinary& binary);

  /// Queues the task on `stream`, or adds it to the graph that is being captured from the stream.
  cudaError_t submit(Stream* stream, Task task);
  /// Returns the first error of asynchronous work since the last call, and resets it.
  cudaError_t take_async_error();
  void set_async_error(cudaError_t error);
  std::string next_origin(const char* call);

 private:
  Device();
  void execute(const Task& task, const Operation& operation);
  void launch(const KernelTask& task, const Operation& operation);
  BlockId reserve_blocks(std::uint64_t count, const Operation& operation);

  struct Started {
    BlockId first_block;
    std::uint32_t stream;
    std::uint64_t sequence;
  };
  class History;

  std::vector<Started> started_;
  BlockId next_block_ = 1;
  cudaError_t async_error_ = cudaSuccess;
  std::uint64_t origins_ = 0;
};

/// Runs the body of a runtime call under the lock. If the emulator cannot do what is asked, it reports that
/// and the call returns an error. Errors are remembered for cudaGetLastError.
cudaError_t guarded(const char* call, const std::function<cudaError_t()>& body);
/// Error that cudaGetLastError returns, per thread.
cudaError_t& last_error();

/// Reports a misuse of the runtime and returns `error`.
cudaError_t misuse(const std::string& what, cudaError_t error);
/// Reports that the emulator does not support `what`.
cudaError_t unsupported(const std::string& what);

// execute() calls these. They check their accesses like kernels.
void copy(Device& device, const CopyTask& task, const Accessor& accessor);
void fill(Device& device, const FillTask& task, const Accessor& accessor);
void run_library(Device& device, const LibraryTask& task, const Accessor& accessor);

}  // namespace cuda_emulator
