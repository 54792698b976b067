// backend.cpp - the CUDA backend. A step is a launch of prepare for each type of rule and one of the update
// for each program, after a norm launch if gradients are measured; it never waits.
#include "host/backend/backend.hpp"

#include <cuda_runtime_api.h>

#include <array>
#include <limits>
#include <utility>
#include <vector>

#include "host/check/sentence.hpp"
#include "host/cuda/device_guard.hpp"
#include "host/cuda/runtime.hpp"
#include "kernels/accumulate.hpp"
#include "kernels/cuda_check.hpp"
#include "kernels/reduce.hpp"
#include "kernels/table_kernels.hpp"
#include "kernels/update/perturb.hpp"

namespace onepass {
namespace {

using cuda::DeviceGuard;
using kernels::check;

/// 16 KiB of each float32 stream: four turns of a thread block of 256 threads with 16 bytes each.
constexpr std::int64_t kChunkSize = 4 * 1024;

bool is_capturing(Stream stream) {
  cudaStreamCaptureStatus status = cudaStreamCaptureStatusNone;
  check(cudaStreamIsCapturing(stream.handle(), &status), "cudaStreamIsCapturing");
  return status != cudaStreamCaptureStatusNone;
}

/// A kernel, and how many of its thread blocks the device holds at once. Making it loads the kernel, so that
/// a step under capture need not.
struct PlannedKernel {
  kernels::CudaLaunch kernel;
  int resident_blocks = 0;

  explicit PlannedKernel(const kernels::CudaLaunch& made) : kernel(made) {
    if (exists()) resident_blocks = kernel.resident_blocks();
  }
  [[nodiscard]] bool exists() const { return kernel.launch != nullptr; }
  void launch(const step::Table& table, Stream stream) const {
    kernel.launch(table, resident_blocks, stream);
  }
};
struct PlannedRule {
  PlannedKernel prepare, finish;
  std::uint32_t rule;
};
struct PlannedRun {
  PlannedKernel measure, update;
  ChunkRange chunks;

  [[nodiscard]] step::Table part_of(step::Table table) const {
    table.chunks += chunks.first;
    table.chunk_count = chunks.last - chunks.first;
    return table;
  }
};

/// The kernels of a pass over the rows and columns of one program's tensors.
struct PlannedAxisPass {
  PlannedKernel measure, move_lines, make_numbers;

  explicit PlannedAxisPass(const kernels::CudaAxes& made)
      : measure(made.measure), move_lines(made.move_lines), make_numbers(made.make_numbers) {}
};
struct PlannedAxes {
  std::array<PlannedAxisPass, 2> passes;
  AxisRun run;

  [[nodiscard]] step::Table part_of(step::Table table) const {
    table.axis_tiles += run.tiles.first, table.axis_tile_count = run.tiles.last - run.tiles.first;
    table.axis_lines += run.lines.first, table.axis_line_count = run.lines.last - run.lines.first;
    table.axis_matrices += run.matrices.first;
    table.axis_matrix_count = run.matrices.last - run.matrices.first;
    return table;
  }
};

/// The launches of a step over all tensors, or over a part of them.
struct CudaWork final : PlannedWork {
  std::vector<PlannedAxes> axes;
  std::vector<PlannedRule> rules;
  std::vector<PlannedRun> runs;
};

class CudaBackend final : public Backend {
 public:
  explicit CudaBackend(int index) : index_(index) {
    const DeviceGuard guard(index_);
    check(cudaEventCreateWithFlags(&last_step_, cudaEventDisableTiming), "cudaEventCreateWithFlags");
    zero_blocks_ = kernels::zero_grad_blocks();
    start_blocks_ = kernels::start_blocks();
    reduce_blocks_ = kernels::reduce_blocks();
    accumulate_blocks_ = kernels::accumulate_blocks();
    perturb_blocks_ = kernels::perturb_blocks();
    check(cudaMallocHost(reinterpret_cast<void**>(&fetched_), sizeof *fetched_), "cudaMallocHost");
    *fetched_ = std::numeric_limits<double>::quiet_NaN();
  }

  ~CudaBackend() override {
    (void)cudaFreeHost(fetched_);
    (void)cudaEventDestroy(last_step_);
  }
  CudaBackend(const CudaBackend&) = delete;
  CudaBackend& operator=(const CudaBackend&) = delete;

  std::int64_t default_chunk_size() const override { return kChunkSize; }

  void start(const step::Table& table, const WorkPlan& /*plan*/, const NewTensors& added) override {
    const DeviceGuard guard(index_);
    const Device device = Device::cuda(index_);
    for (const std::span<std::byte>& bytes : added.to_zero) {
      onepass::fill_zero({device, bytes.data()}, bytes.size());
    }
    if (added.copies_parameters) kernels::start_streams(table, added.first, start_blocks_, {});
    onepass::synchronize(device);
  }

  void load(const step::Table& /*table*/, std::span<const std::vector<SavedStream>> saved,
            Stream stream) override {
    for (const std::vector<SavedStream>& streams : saved) {
      for (const SavedStream& one : streams) {
        onepass::copy({Device::cuda(index_), one.to}, {Device::cpu(), one.from.data()}, one.from.size(),
                      stream);
      }
    }
  }

  void plan(const WorkPlan& plan) override { work_ = work_of(plan); }
  std::unique_ptr<PlannedWork> plan_part(const WorkPlan& plan) override { return work_of(plan); }

  void step(const step::Table& table, std::optional<step::Measure> norm, Stream stream) override {
    step_part(table, norm, *work_, stream);
  }

  void step_part(const step::Table& table, std::optional<step::Measure> norm, PlannedWork& planned,
                 Stream stream) override {
    const DeviceGuard guard(index_);
    const auto& work = static_cast<const CudaWork&>(planned);
    begin(table, norm, work, stream);
    finish(table, work, stream);
    remember(stream);
  }

  void begin_step(const step::Table& table, std::optional<step::Measure> norm, std::int64_t* sums,
                  Stream stream) override {
    const DeviceGuard guard(index_);
    begin(table, norm, *work_, stream);
    kernels::give_sums(table, sums, stream);
    remember(stream);
  }

  void finish_step(const step::Table& table, const std::int64_t* sums, Stream stream) override {
    const DeviceGuard guard(index_);
    kernels::take_sums(table, sums, stream);
    finish(table, *work_, stream);
    remember(stream);
  }

  void end_round(const step::Table& table, Stream stream) override {
    const DeviceGuard guard(index_);
    kernels::end_round(table, stream);
    remember(stream);
  }

  bool is_capturing(Stream stream) const override { return onepass::is_capturing(stream); }

  void measure(const step::Table& table, step::Measure norm, const step::ShardMeasure& to,
               Stream stream) override {
    const DeviceGuard guard(index_);
    kernels::reduce_gradients(table, norm, reduce_blocks_, stream);
    kernels::give_measure(table, to, stream);
    remember(stream);
  }

  void take_measure(const step::Table& table, const step::ShardMeasure& from, Stream stream) override {
    const DeviceGuard guard(index_);
    kernels::take_measure(table, from, stream);
    remember(stream);
  }

  void measure_perturbation(const step::Table& table, const step::Perturbation& how, std::int64_t* words,
                            Stream stream) override {
    const DeviceGuard guard(index_);
    kernels::measure_terms(table, how, perturb_blocks_, stream);
    kernels::give_squares(how, words, stream);
    remember(stream);
  }

  void perturb(const step::Table& table, const step::Perturbation& how, const std::int64_t* words,
               Stream stream) override {
    const DeviceGuard guard(index_);
    if (words == nullptr) {
      kernels::measure_terms(table, how, perturb_blocks_, stream);
    } else {
      kernels::take_squares(how, words, stream);
    }
    kernels::perturb(table, how, perturb_blocks_, stream);
    remember(stream);
  }

  void restore(const step::Table& table, const step::Perturbation& how, Stream stream) override {
    const DeviceGuard guard(index_);
    kernels::restore(table, how, perturb_blocks_, stream);
    remember(stream);
  }

  void zero_grad(const step::Table& table, Stream stream) override {
    const DeviceGuard guard(index_);
    kernels::zero_grad(table, zero_blocks_, stream);
    remember(stream);
  }

  void accumulate(const step::Table& table, const step::MicroBatch& batch, Stream stream) override {
    const DeviceGuard guard(index_);
    if (batch.drops_nonfinite != 0) kernels::find_nonfinite(table, reduce_blocks_, stream);
    kernels::accumulate(table, batch, accumulate_blocks_, stream);
    remember(stream);
  }

  void penalty(const step::Table& table, Stream stream) override {
    const DeviceGuard guard(index_);
    kernels::reduce_penalty(table, reduce_blocks_, stream);
    remember(stream);
  }

  void fetch(const double* number, Stream stream) override {
    const DeviceGuard guard(index_);
    check(cudaMemcpyAsync(fetched_, number, sizeof *number, cudaMemcpyDeviceToHost, stream.handle()),
          "cudaMemcpyAsync");
    remember(stream);
  }
  double fetched() const override { return *static_cast<const volatile double*>(fetched_); }

  void write(void* to, std::span<const std::byte> bytes, Stream stream) override {
    const DeviceGuard guard(index_);
    kernels::write_bytes(to, bytes, stream);
    remember(stream);
  }

  void wait() noexcept override {
    int previous = index_;
    (void)cudaGetDevice(&previous);
    (void)cudaSetDevice(index_);
    (void)(captured_ ? cudaDeviceSynchronize() : cudaEventSynchronize(last_step_));
    (void)cudaSetDevice(previous);
  }

 private:
  /// Launches a step up to the sums over tensors, for rules that take any. A sweep takes none.
  void begin(const step::Table& table, std::optional<step::Measure> norm, const CudaWork& work,
             Stream stream) const {
    if (norm) kernels::reduce_gradients(table, *norm, reduce_blocks_, stream);
    step::Table part = table;
    for (const PlannedRule& rule : work.rules) {
      part.prepares = rule.rule;
      part.concludes = &rule == &work.rules.back() ? 1 : 0;
      rule.prepare.launch(part, stream);
    }
    if (table.sweeps != 0) return;
    move_axes(table, 0, work, stream);
    for (const PlannedRun& run : work.runs) {
      if (run.measure.exists()) run.measure.launch(run.part_of(table), stream);
    }
  }

  /// Launches a pass over rows and columns.
  static void move_axes(const step::Table& table, std::size_t pass, const CudaWork& work, Stream stream) {
    for (const PlannedAxes& axes : work.axes) {
      const PlannedAxisPass& kernels = axes.passes[pass];
      if (!kernels.measure.exists()) continue;
      const step::Table part = axes.part_of(table);
      kernels.measure.launch(part, stream);
      kernels.move_lines.launch(part, stream);
      kernels.make_numbers.launch(part, stream);
    }
  }

  /// Launches the rest of the step.
  static void finish(const step::Table& table, const CudaWork& work, Stream stream) {
    step::Table part = table;
    for (const PlannedRule& rule : work.rules) {
      part.prepares = rule.rule;
      if (rule.finish.exists() && table.sweeps == 0) rule.finish.launch(part, stream);
    }
    if (table.sweeps == 0) move_axes(table, 1, work, stream);
    for (const PlannedRun& run : work.runs) run.update.launch(run.part_of(table), stream);
  }

  [[nodiscard]] std::unique_ptr<CudaWork> work_of(const WorkPlan& plan) const {
    const DeviceGuard guard(index_);
    auto work = std::make_unique<CudaWork>();
    for (const PreparedRule& rule : plan.rules) {
      work->rules.push_back({PlannedKernel(rule.ops->cuda_prepare),
                             PlannedKernel(rule.takes_sums ? rule.ops->cuda_finish : kernels::CudaLaunch{}),
                             rule.number});
    }
    for (const ProgramRun& run : plan.runs) {
      const Program& program = plan.programs[run.program];
      work->runs.push_back(
          {PlannedKernel(program.takes_sums ? program.variant->cuda_measure : kernels::CudaLaunch{}),
           PlannedKernel(program.variant->cuda[program.format]),
           {run.first, run.first + run.count}});
    }
    for (const AxisRun& run : plan.axis_runs) {
      const auto& made = plan.programs[run.program].variant->cuda_axes;
      work->axes.push_back({{PlannedAxisPass(made[0]), PlannedAxisPass(made[1])}, run});
    }
    return work;
  }

  /// Records the work that wait() must wait for. The backend does not learn when a captured step runs, so
  /// after a capture wait() waits for the whole device.
  void remember(Stream stream) {
    if (is_capturing(stream)) {
      captured_ = true;
    } else {
      check(cudaEventRecord(last_step_, stream.handle()), "cudaEventRecord");
    }
  }

  int index_;
  std::unique_ptr<CudaWork> work_ = std::make_unique<CudaWork>();
  int zero_blocks_ = 0;
  int start_blocks_ = 0;
  kernels::ReduceBlocks reduce_blocks_{};
  int accumulate_blocks_ = 0;
  kernels::PerturbBlocks perturb_blocks_{};
  double* fetched_ = nullptr;  ///< Pinned host memory, so that a copy to it need not wait.
  cudaEvent_t last_step_ = nullptr;
  bool captured_ = false;
};

}  // namespace

std::unique_ptr<Backend> make_cuda_backend(const BackendRequest& request) {
  cuda::require_device(request.device.index());
  for (const RuleOps* rule : request.rules) {
    if (rule->cuda_prepare.launch != nullptr) continue;
    refuse(to_string(request.device) + " was asked for, but the rule " + rule->name +
           " is built without CUDA");
  }
  return std::make_unique<CudaBackend>(request.device.index());
}

}  // namespace onepass
