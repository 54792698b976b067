// runtime_test.cu - tests the runtime calls: memory, streams, events, graphs, launches.
#include <gtest/gtest.h>

#include <cstring>
#include <vector>

#include "runtime/process.hpp"

namespace {

__global__ void add_to_all(float* values, int n, float x) {
  for (int i = blockIdx.x * blockDim.x + threadIdx.x; i < n; i += gridDim.x * blockDim.x) values[i] += x;
}

__global__ void copy_all(const float* from, float* to, int n) {
  for (int i = blockIdx.x * blockDim.x + threadIdx.x; i < n; i += gridDim.x * blockDim.x) to[i] = from[i];
}

__constant__ float factors[4];
__device__ int counter = 5;

__global__ void use_symbols(float* out) {
  out[threadIdx.x] = factors[threadIdx.x];
  if (threadIdx.x == 0) atomicAdd(&counter, 1);
}

__global__ void sum_dynamic_shared(const int* in, int* out) {
  extern __shared__ int values[];
  values[threadIdx.x] = in[threadIdx.x];
  __syncthreads();
  if (threadIdx.x != 0) return;
  int sum = 0;
  for (int i = 0; i < blockDim.x; ++i) sum += values[i];
  *out = sum;
}

__global__ void __launch_bounds__(64) bounded(int* out) { *out = 1; }

struct Large {
  double weights[500];
  int count;
};

__global__ void use_large(const __grid_constant__ Large large, double* out) {
  double sum = 0;
  for (int i = 0; i < large.count; ++i) sum += large.weights[i];
  *out = sum;
}

__global__ void say(int x) { printf("thread %d says %.1f and %s\n", threadIdx.x, x / 2.0, "so"); }

void ok(cudaError_t error) { ASSERT_EQ(error, cudaSuccess) << cudaGetErrorString(error); }

class Runtime : public testing::Test {
 protected:
  Runtime() {
    ok(cudaMalloc(&values, kCount * sizeof(float)));
    ok(cudaMemset(values, 0, kCount * sizeof(float)));
    ok(cudaStreamCreateWithFlags(&first, cudaStreamNonBlocking));
    ok(cudaStreamCreateWithFlags(&second, cudaStreamNonBlocking));
    ok(cudaEventCreate(&event));
    ok(cudaDeviceSynchronize());
  }
  ~Runtime() override {
    ok(cudaDeviceSynchronize());
    ok(cudaEventDestroy(event));
    ok(cudaStreamDestroy(first));
    ok(cudaStreamDestroy(second));
    ok(cudaFree(values));
    cudaGetLastError();
    EXPECT_EQ(cuda_emulator_findings(), 0u);
  }
  void add(float x, cudaStream_t stream) { add_to_all<<<2, 64, 0, stream>>>(values, kCount, x); }
  std::vector<float> fetch() {
    std::vector<float> host(kCount);
    ok(cudaMemcpy(host.data(), values, kCount * sizeof(float), cudaMemcpyDeviceToHost));
    return host;
  }
  static constexpr int kCount = 1000;
  float* values = nullptr;
  cudaStream_t first = nullptr;
  cudaStream_t second = nullptr;
  cudaEvent_t event = nullptr;
};

TEST_F(Runtime, GridStrideLoopTouchesEveryElement) {
  add(1.5f, nullptr);
  EXPECT_EQ(fetch(), std::vector<float>(kCount, 1.5f));
}

TEST_F(Runtime, StreamWorkRunsOnlyWhenTheHostAsksForIt) {
  float* pinned = nullptr;
  ok(cudaMallocHost(&pinned, sizeof(float)));
  *pinned = -1;
  add(1, first);
  ok(cudaMemcpyAsync(pinned, values, sizeof(float), cudaMemcpyDeviceToHost, first));
  EXPECT_EQ(*pinned, -1.0f);
  EXPECT_EQ(cudaStreamQuery(first), cudaErrorNotReady);
  EXPECT_EQ(cudaStreamQuery(first), cudaSuccess);
  EXPECT_EQ(*pinned, 1.0f);
  ok(cudaFreeHost(pinned));
}

TEST_F(Runtime, PageableSourceIsReadAtTheCall) {
  float host = 3;
  ok(cudaMemcpyAsync(values, &host, sizeof host, cudaMemcpyHostToDevice, first));
  host = 4;
  ok(cudaStreamSynchronize(first));
  EXPECT_EQ(fetch()[0], 3.0f);
}

TEST_F(Runtime, EventOrdersTwoStreams) {
  add(1, first);
  ok(cudaEventRecord(event, first));
  ok(cudaStreamWaitEvent(second, event, 0));
  float* copy = nullptr;
  ok(cudaMallocAsync(&copy, kCount * sizeof(float), second));
  copy_all<<<2, 64, 0, second>>>(values, copy, kCount);
  float host = 0;
  ok(cudaMemcpyAsync(&host, copy + 999, sizeof host, cudaMemcpyDeviceToHost, second));
  EXPECT_EQ(host, 1.0f);
  ok(cudaFreeAsync(copy, second));
  ok(cudaStreamSynchronize(second));
  EXPECT_EQ(cudaEventQuery(event), cudaSuccess);
}

TEST_F(Runtime, ElapsedTimeGrowsAndNeedsFinishedEvents) {
  cudaEvent_t end = nullptr;
  ok(cudaEventCreate(&end));
  ok(cudaEventRecord(event, first));
  add(1, first);
  ok(cudaEventRecord(end, first));
  float time = -1;
  EXPECT_EQ(cudaEventElapsedTime(&time, event, end), cudaErrorNotReady);
  ok(cudaEventSynchronize(end));
  ok(cudaEventElapsedTime(&time, event, end));
  EXPECT_GT(time, 0.0f);
  ok(cudaEventDestroy(end));
}

TEST_F(Runtime, YoungestWorkRunsFirstUnlessSomethingOrdersIt) {
  std::vector<int> order;
  struct Note {
    std::vector<int>* order;
    int number;
  };
  Note one{&order, 1}, two{&order, 2}, three{&order, 3};
  const cudaHostFn_t note = [](void* what) {
    const auto* noted = static_cast<const Note*>(what);
    noted->order->push_back(noted->number);
  };
  ok(cudaLaunchHostFunc(first, note, &one));
  ok(cudaLaunchHostFunc(second, note, &two));
  ok(cudaLaunchHostFunc(second, note, &three));
  ok(cudaDeviceSynchronize());
  EXPECT_EQ(order, (std::vector<int>{2, 3, 1}));
}

TEST_F(Runtime, LegacyStreamWaitsForBlockingStreams) {
  cudaStream_t blocking = nullptr;
  ok(cudaStreamCreate(&blocking));
  add(1, blocking);
  add(1, nullptr);
  add(1, blocking);
  ok(cudaStreamSynchronize(blocking));
  EXPECT_EQ(fetch()[7], 3.0f);
  ok(cudaStreamDestroy(blocking));
}

TEST_F(Runtime, GraphRunsItsNodesAtEachLaunch) {
  cudaGraph_t graph = nullptr;
  cudaGraphExec_t exec = nullptr;
  ok(cudaStreamBeginCapture(first, cudaStreamCaptureModeGlobal));
  ok(cudaMemsetAsync(values, 0, sizeof(float), first));
  add(2, first);
  ok(cudaMemcpyAsync(values + 1, values, sizeof(float), cudaMemcpyDeviceToDevice, first));
  ok(cudaStreamEndCapture(first, &graph));
  EXPECT_EQ(fetch()[2], 0.0f);  // Capturing runs nothing.
  ok(cudaGraphInstantiate(&exec, graph, 0));
  for (int k = 0; k < 3; ++k) ok(cudaGraphLaunch(exec, first));
  ok(cudaStreamSynchronize(first));
  const std::vector<float> host = fetch();
  EXPECT_EQ(host[0], 2.0f);
  EXPECT_EQ(host[1], 2.0f);
  EXPECT_EQ(host[2], 6.0f);
  std::size_t count = 0;
  ok(cudaGraphGetNodes(graph, nullptr, &count));
  ASSERT_EQ(count, 3u);
  std::vector<cudaGraphNode_t> nodes(count);
  ok(cudaGraphGetNodes(graph, nodes.data(), &count));
  cudaGraphNodeType type = cudaGraphNodeTypeEmpty;
  ok(cudaGraphNodeGetType(nodes[1], &type));
  EXPECT_EQ(type, cudaGraphNodeTypeKernel);
  cudaKernelNodeParams parameters{};
  ok(cudaGraphKernelNodeGetParams(nodes[1], &parameters));
  EXPECT_EQ(parameters.gridDim.x, 2u);
  EXPECT_EQ(parameters.func, reinterpret_cast<void*>(add_to_all));
  ok(cudaGraphExecDestroy(exec));
  ok(cudaGraphDestroy(graph));
}

TEST_F(Runtime, ForkedCaptureBecomesOneGraph) {
  cudaGraph_t graph = nullptr;
  cudaGraphExec_t exec = nullptr;
  cudaEvent_t joined = nullptr;
  float* other = nullptr;
  ok(cudaMalloc(&other, kCount * sizeof(float)));
  ok(cudaEventCreateWithFlags(&joined, cudaEventDisableTiming));
  ok(cudaStreamBeginCapture(first, cudaStreamCaptureModeThreadLocal));
  add(1, first);
  ok(cudaEventRecord(event, first));
  ok(cudaStreamWaitEvent(second, event, 0));
  copy_all<<<1, 32, 0, second>>>(values, other, kCount);
  ok(cudaEventRecord(joined, second));
  ok(cudaStreamWaitEvent(first, joined, 0));
  add(1, first);
  ok(cudaStreamEndCapture(first, &graph));
  ok(cudaGraphInstantiate(&exec, graph, 0));
  ok(cudaGraphLaunch(exec, second));
  ok(cudaStreamSynchronize(second));
  float host = 0;
  ok(cudaMemcpy(&host, other, sizeof host, cudaMemcpyDeviceToHost));
  EXPECT_EQ(host, 1.0f);
  EXPECT_EQ(fetch()[0], 2.0f);
  ok(cudaGraphExecDestroy(exec));
  ok(cudaGraphDestroy(graph));
  ok(cudaEventDestroy(joined));
  ok(cudaFree(other));
}

cudaGraph_t capture_add(cudaStream_t stream, float* values, int times, float x) {
  cudaGraph_t graph = nullptr;
  ok(cudaStreamBeginCapture(stream, cudaStreamCaptureModeGlobal));
  for (int k = 0; k < times; ++k) add_to_all<<<1, 32, 0, stream>>>(values, 10, x);
  ok(cudaStreamEndCapture(stream, &graph));
  return graph;
}

TEST_F(Runtime, GraphUpdateTakesParametersAndRefusesAnotherShape) {
  cudaGraph_t one = capture_add(first, values, 1, 1.0f);
  cudaGraph_t other = capture_add(first, values, 1, 10.0f);
  cudaGraph_t longer = capture_add(first, values, 2, 1.0f);
  cudaGraphExec_t exec = nullptr;
  cudaGraphExecUpdateResultInfo result{};
  ok(cudaGraphInstantiate(&exec, one, 0));
  ok(cudaGraphExecUpdate(exec, other, &result));
  EXPECT_EQ(cudaGraphExecUpdate(exec, longer, &result), cudaErrorGraphExecUpdateFailure);
  EXPECT_EQ(result.result, cudaGraphExecUpdateErrorTopologyChanged);
  ok(cudaGraphLaunch(exec, first));
  ok(cudaStreamSynchronize(first));
  EXPECT_EQ(fetch()[0], 10.0f);
  ok(cudaGraphExecDestroy(exec));
  for (cudaGraph_t graph : {one, other, longer}) ok(cudaGraphDestroy(graph));
}

TEST_F(Runtime, CaptureRefusesCallsThatCannotBeCaptured) {
  cudaGraph_t graph = nullptr;
  void* memory = nullptr;
  ok(cudaStreamBeginCapture(first, cudaStreamCaptureModeGlobal));
  EXPECT_EQ(cudaMalloc(&memory, 16), cudaErrorStreamCaptureUnsupported);
  cudaStreamCaptureStatus status = cudaStreamCaptureStatusNone;
  ok(cudaStreamIsCapturing(first, &status));
  EXPECT_EQ(status, cudaStreamCaptureStatusInvalidated);
  EXPECT_EQ(cudaStreamEndCapture(first, &graph), cudaErrorStreamCaptureInvalidated);
  EXPECT_EQ(graph, nullptr);
  ok(cudaStreamBeginCapture(first, cudaStreamCaptureModeRelaxed));
  EXPECT_EQ(cudaStreamSynchronize(first), cudaErrorStreamCaptureUnsupported);
  EXPECT_EQ(cudaStreamEndCapture(first, &graph), cudaErrorStreamCaptureInvalidated);
}

TEST_F(Runtime, SymbolsAreFoundByTheirHostAddress) {
  const float host[4] = {1, 2, 3, 4};
  ok(cudaMemcpyToSymbol(factors, host, sizeof host));
  use_symbols<<<1, 4>>>(values);
  EXPECT_EQ(fetch()[3], 4.0f);
  int count = 0;
  ok(cudaMemcpyFromSymbol(&count, counter, sizeof count));
  EXPECT_EQ(count, 6);
}

TEST_F(Runtime, LargeParametersArriveWhole) {
  Large large{};
  large.count = 500;
  for (int i = 0; i < 500; ++i) large.weights[i] = i;
  double* out = nullptr;
  ok(cudaMalloc(&out, sizeof(double)));
  use_large<<<1, 1>>>(large, out);
  double sum = 0;
  ok(cudaMemcpy(&sum, out, sizeof sum, cudaMemcpyDeviceToHost));
  EXPECT_EQ(sum, 499.0 * 500 / 2);
  ok(cudaFree(out));
}

TEST_F(Runtime, DynamicSharedMemoryIsBoundedByItsAttribute) {
  int* memory = nullptr;
  ok(cudaMalloc(&memory, 33 * sizeof(int)));
  std::vector<int> ones(32, 1);
  ok(cudaMemcpy(memory, ones.data(), 32 * sizeof(int), cudaMemcpyHostToDevice));
  sum_dynamic_shared<<<1, 32, 32 * sizeof(int)>>>(memory, memory + 32);
  int sum = 0;
  ok(cudaMemcpy(&sum, memory + 32, sizeof sum, cudaMemcpyDeviceToHost));
  EXPECT_EQ(sum, 32);
  sum_dynamic_shared<<<1, 32, 60000>>>(memory, memory + 32);
  EXPECT_EQ(cudaGetLastError(), cudaErrorInvalidValue);
  ok(cudaFuncSetAttribute(sum_dynamic_shared, cudaFuncAttributeMaxDynamicSharedMemorySize, 65536));
  sum_dynamic_shared<<<1, 32, 60000>>>(memory, memory + 32);
  ok(cudaGetLastError());
  ok(cudaFree(memory));
}

TEST_F(Runtime, ImpossibleLaunchesAreRefused) {
  add_to_all<<<1, 2048>>>(values, kCount, 1.0f);
  EXPECT_EQ(cudaPeekAtLastError(), cudaErrorInvalidConfiguration);
  EXPECT_EQ(cudaGetLastError(), cudaErrorInvalidConfiguration);
  EXPECT_EQ(cudaGetLastError(), cudaSuccess);
  bounded<<<1, 128>>>(reinterpret_cast<int*>(values));
  EXPECT_EQ(cudaGetLastError(), cudaErrorInvalidValue);
  cudaFuncAttributes attributes{};
  ok(cudaFuncGetAttributes(&attributes, bounded));
  EXPECT_EQ(attributes.maxThreadsPerBlock, 64);
}

TEST_F(Runtime, OccupancyFollowsThreadsAndSharedMemory) {
  int blocks = 0;
  ok(cudaOccupancyMaxActiveBlocksPerMultiprocessor(&blocks, add_to_all, 256, 0));
  EXPECT_EQ(blocks, 8);
  ok(cudaOccupancyMaxActiveBlocksPerMultiprocessor(&blocks, add_to_all, 256, 40000));
  EXPECT_EQ(blocks, 4);
}

TEST_F(Runtime, DeviceReportsASmallGpu) {
  cudaDeviceProp properties{};
  ok(cudaGetDeviceProperties(&properties, 0));
  EXPECT_EQ(properties.major, 8);
  EXPECT_LE(properties.multiProcessorCount, 16);
  EXPECT_EQ(cudaSetDevice(1), cudaErrorInvalidDevice);
  cudaGetLastError();
}

TEST_F(Runtime, PointerAttributesTellTheKindOfMemory) {
  cudaPointerAttributes attributes{};
  ok(cudaPointerGetAttributes(&attributes, values + 3));
  EXPECT_EQ(attributes.type, cudaMemoryTypeDevice);
  ok(cudaPointerGetAttributes(&attributes, &attributes));
  EXPECT_EQ(attributes.type, cudaMemoryTypeUnregistered);
  void* pinned = nullptr;
  ok(cudaHostAlloc(&pinned, 64, cudaHostAllocDefault));
  ok(cudaPointerGetAttributes(&attributes, pinned));
  EXPECT_EQ(attributes.type, cudaMemoryTypeHost);
  ok(cudaFreeHost(pinned));
}

TEST_F(Runtime, CopyDirectionMustMatchThePointers) {
  float host = 0;
  EXPECT_EQ(cudaMemcpy(values, &host, 4, cudaMemcpyDeviceToHost), cudaErrorInvalidValue);
  EXPECT_EQ(cudaGetLastError(), cudaErrorInvalidValue);
}

TEST_F(Runtime, KernelsCanPrint) {
  testing::internal::CaptureStdout();
  say<<<1, 1>>>(5);
  ok(cudaDeviceSynchronize());
  EXPECT_EQ(testing::internal::GetCapturedStdout(), "thread 0 says 2.5 and so\n");
}

TEST_F(Runtime, UnlaunchedKernelsAreListed) {
  std::string names(1 << 16, '\0');
  EXPECT_GE(cuda_emulator_unlaunched_kernels(names.data(), names.size()), 1u);
  EXPECT_NE(names.find("never_launched"), std::string::npos);
  EXPECT_EQ(names.find("KernelsCanPrint"), std::string::npos);
}

cuda_emulator_counts counts_of_add_to_all() {
  cuda_emulator_counts found{};
  const auto take = [](void* to, const char* kernel, const cuda_emulator_counts* counts) {
    if (strstr(kernel, "add_to_all") != nullptr) *static_cast<cuda_emulator_counts*>(to) = *counts;
  };
  cuda_emulator_visit_counts(take, &found);
  return found;
}

TEST_F(Runtime, CountsCoverTheWorkSinceCountingStarted) {
  const auto counted = [&](int launches) {
    for (int k = 0; k < launches; ++k) add_to_all<<<2, 32>>>(values, 128, 1.0f);
    ok(cudaDeviceSynchronize());
    return counts_of_add_to_all();
  };
  cuda_emulator_start_counting();
  EXPECT_EQ(counted(2).launches, 2u);
  EXPECT_EQ(counted(0).bytes_read, 2u * 128 * 4);
  cuda_emulator_stop_counting();
  EXPECT_EQ(counted(1).launches, 2u);
  cuda_emulator_start_counting();
  EXPECT_EQ(counted(0).launches, 0u);
  cuda_emulator_stop_counting();
}

}  // namespace

__global__ void never_launched(int* out) { *out = 1; }
