// device.cpp - the emulated device, and the state and functions that the runtime calls share.
#include "runtime/device.hpp"

#include <algorithm>

#include "ptx/fatbin.hpp"
#include "runtime/graph.hpp"

namespace cuda_emulator {
namespace {

cudaError_t error_of(Fault fault) {
  switch (fault) {
    case Fault::out_of_bounds:
      return cudaErrorIllegalAddress;
    case Fault::misaligned:
      return cudaErrorMisalignedAddress;
    case Fault::trap:
      return cudaErrorAssert;
    default:
      return cudaErrorLaunchFailure;
  }
}

}  // namespace

/// Tells whether an earlier launch or copy is ordered before `operation`.
class Device::History : public LaunchOrder {
 public:
  History(const std::vector<Started>& started, const Operation& operation)
      : started_(started), operation_(operation) {}

  bool precedes(BlockId earlier) const override {
    if (earlier >= first_ && earlier < end_) return answer_;
    const auto after =
        std::upper_bound(started_.begin(), started_.end(), earlier,
                         [](BlockId id, const Started& entry) { return id < entry.first_block; });
    const auto entry = std::prev(after);
    first_ = entry->first_block;
    end_ = after == started_.end() ? first_ : after->first_block;
    const auto known = operation_.clock.find(entry->stream);
    answer_ = known != operation_.clock.end() && known->second >= entry->sequence;
    return answer_;
  }

 private:
  const std::vector<Started>& started_;
  const Operation& operation_;
  // The last answer usually serves again, because the same work mostly touched neighbouring memory.
  mutable BlockId first_ = 0;
  mutable BlockId end_ = 0;
  mutable bool answer_ = false;
};

Device& Device::instance() {
  static Device* device = new Device;
  return *device;
}

Device::Device()
    : options(read_options()),
      queue([this](const Task& task, const Operation& operation) { execute(task, operation); }) {}

Kernel* Device::find_kernel(const void* host_function) {
  const auto found = kernels.find(host_function);
  return found == kernels.end() ? nullptr : found->second.get();
}

std::vector<Kernel*> Device::kernels_by_name() const {
  std::vector<Kernel*> sorted;
  for (const auto& [function, kernel] : kernels) sorted.push_back(kernel.get());
  std::sort(sorted.begin(), sorted.end(), [](const Kernel* x, const Kernel* y) { return x->name < y->name; });
  return sorted;
}

Image& Device::image(FatBinary& binary) {
  if (binary.image == nullptr) {
    binary.image = std::make_unique<Image>(ptx_from_fatbin(binary.data, kComputeCapability), memory);
  }
  return *binary.image;
}

const Program& Device::program(Kernel& kernel) { return image(*kernel.binary).program(kernel.name); }

cudaError_t Device::submit(Stream* stream, Task task) {
  if (stream->capture != nullptr) return add_captured(*stream, std::move(task));
  if (stream == queue.legacy() && capture_forbids_legacy(*this)) return cudaErrorStreamCaptureImplicit;
  queue.enqueue(stream, std::move(task));
  return cudaSuccess;
}

cudaError_t Device::take_async_error() { return std::exchange(async_error_, cudaSuccess); }

void Device::set_async_error(cudaError_t error) {
  if (async_error_ == cudaSuccess) async_error_ = error;
}

std::string Device::next_origin(const char* call) {
  return std::string(call) + " #" + std::to_string(++origins_);
}

BlockId Device::reserve_blocks(std::uint64_t count, const Operation& operation) {
  const BlockId first = next_block_;
  next_block_ += static_cast<BlockId>(count);
  started_.push_back({first, operation.stream->number, operation.sequence});
  return first;
}

void Device::launch(const KernelTask& task, const Operation& operation) {
  Launch launch;
  launch.program = &program(*task.kernel);
  launch.grid = task.grid;
  launch.block = task.block;
  launch.parameters = task.parameters;
  launch.dynamic_shared = task.dynamic_shared;
  launch.memory = &memory;
  launch.resident_blocks = options.multiprocessors;
  launch.check_races = options.check_races;
  if (options.counts) launch.counts = &task.kernel->counts;
  launch.threads = options.order;
  launch.first_block = reserve_blocks(task.grid.count(), operation);
  const History history(started_, operation);
  if (queue.has_several_streams()) launch.order = &history;
  run(launch);
  ++task.kernel->launches;
  task.kernel->instructions += launch.instructions;
  if (launch.counts != nullptr) {
    ++launch.counts->launches;
    launch.counts->instructions += launch.instructions;
  }
  for (const Fault fault : launch.faults) set_async_error(error_of(fault));
}

void Device::execute(const Task& task, const Operation& operation) {
  if (const auto* kernel = std::get_if<KernelTask>(&task)) {
    launch(*kernel, operation);
  } else if (const auto* allocate = std::get_if<AllocateTask>(&task)) {
    memory.make_live(*allocate->allocation);
  } else if (const auto* release = std::get_if<FreeTask>(&task)) {
    memory.release(*release->allocation);
  } else if (const auto* host = std::get_if<HostTask>(&task)) {
    host->function(host->argument);
  } else if (!std::holds_alternative<EmptyTask>(task)) {
    static const Knowledge kNothing;
    Accessor accessor;
    accessor.knowledge = &kNothing;
    accessor.block = reserve_blocks(1, operation);
    accessor.first_block = accessor.block;
    const History history(started_, operation);
    if (queue.has_several_streams() && options.check_races) accessor.order = &history;
    if (const auto* copy_task = std::get_if<CopyTask>(&task)) copy(*this, *copy_task, accessor);
    if (const auto* fill_task = std::get_if<FillTask>(&task)) fill(*this, *fill_task, accessor);
    if (const auto* library = std::get_if<LibraryTask>(&task)) run_library(*this, *library, accessor);
  }
}

cudaError_t& last_error() {
  thread_local cudaError_t error = cudaSuccess;
  return error;
}

cudaError_t misuse(const std::string& what, cudaError_t error) {
  Reports::instance().add({Fault::invalid_use, {}, what, {}, 0});
  return error;
}

cudaError_t unsupported(const std::string& what) {
  Reports::instance().add({Fault::unsupported, {}, what, {}, 0});
  return cudaErrorNotSupported;
}

cudaError_t guarded(const char* call, const std::function<cudaError_t()>& body) {
  const std::lock_guard lock(Device::instance().mutex);
  cudaError_t error;
  try {
    error = body();
  } catch (const PtxError& problem) {
    error = unsupported(std::string(call) + ": " + problem.what());
  }
  if (error != cudaSuccess && error != cudaErrorNotReady) last_error() = error;
  return error;
}

}  // namespace cuda_emulator
