// graph.cpp - graph calls: instantiate, launch, look at nodes, update.
#include <cuda_runtime_api.h>

#include <algorithm>

#include "runtime/device.hpp"
#include "runtime/graph.hpp"

namespace cuda_emulator {
namespace {

// Handles are the addresses of these objects. The lists let the calls recognise a stale handle.
std::vector<std::unique_ptr<Graph>>& graphs() {
  static auto* all = new std::vector<std::unique_ptr<Graph>>;
  return *all;
}
std::vector<std::unique_ptr<GraphExec>>& execs() {
  static auto* all = new std::vector<std::unique_ptr<GraphExec>>;
  return *all;
}

template <class T, class Handle>
T* find(const std::vector<std::unique_ptr<T>>& all, Handle handle) {
  auto* wanted = reinterpret_cast<T*>(handle);
  const bool known =
      std::any_of(all.begin(), all.end(), [&](const auto& one) { return one.get() == wanted; });
  return known ? wanted : nullptr;
}

/// Returns the graph of a handle. cudaStreamEndCapture returns a bare pointer; the first lookup takes
/// ownership of it.
Graph* find_graph(cudaGraph_t handle) {
  if (handle == nullptr) return nullptr;
  if (Graph* known = find(graphs(), handle)) return known;
  graphs().emplace_back(reinterpret_cast<Graph*>(handle));
  return graphs().back().get();
}

cudaGraphNodeType type_of(const Task& task) {
  const bool library = std::holds_alternative<LibraryTask>(task);  // On a device it would consist of kernels.
  if (library || std::holds_alternative<KernelTask>(task)) return cudaGraphNodeTypeKernel;
  if (std::holds_alternative<CopyTask>(task)) return cudaGraphNodeTypeMemcpy;
  if (std::holds_alternative<FillTask>(task)) return cudaGraphNodeTypeMemset;
  if (std::holds_alternative<AllocateTask>(task)) return cudaGraphNodeTypeMemAlloc;
  if (std::holds_alternative<FreeTask>(task)) return cudaGraphNodeTypeMemFree;
  if (std::holds_alternative<HostTask>(task)) return cudaGraphNodeTypeHost;
  return cudaGraphNodeTypeEmpty;
}

const void* host_function(const Kernel* kernel) {
  for (const auto& [function, known] : Device::instance().kernels) {
    if (known.get() == kernel) return function;
  }
  return nullptr;
}

cudaError_t kernel_parameters(const GraphNode& node, cudaKernelNodeParams* parameters) {
  const auto* task = std::get_if<KernelTask>(&node.task);
  if (task == nullptr) return cudaErrorInvalidValue;
  *parameters = {};
  parameters->func = const_cast<void*>(host_function(task->kernel));
  parameters->gridDim = {task->grid.x, task->grid.y, task->grid.z};
  parameters->blockDim = {task->block.x, task->block.y, task->block.z};
  parameters->sharedMemBytes = task->dynamic_shared;
  return cudaSuccess;
}

cudaError_t instantiate_into(cudaGraphExec_t* exec, cudaGraph_t handle) {
  Graph* graph = find_graph(handle);
  if (graph == nullptr) return cudaErrorInvalidValue;
  execs().emplace_back(instantiate(Device::instance(), *graph));
  *exec = reinterpret_cast<cudaGraphExec_t>(execs().back().get());
  return cudaSuccess;
}

}  // namespace
}  // namespace cuda_emulator

using namespace cuda_emulator;

extern "C" {

cudaError_t cudaGraphInstantiate(cudaGraphExec_t* exec, cudaGraph_t graph, unsigned long long) {
  return guarded("cudaGraphInstantiate", [&] { return instantiate_into(exec, graph); });
}

cudaError_t cudaGraphInstantiateWithFlags(cudaGraphExec_t* exec, cudaGraph_t graph, unsigned long long) {
  return guarded("cudaGraphInstantiateWithFlags", [&] { return instantiate_into(exec, graph); });
}

cudaError_t cudaGraphUpload(cudaGraphExec_t, cudaStream_t) { return cudaSuccess; }

cudaError_t cudaGraphLaunch(cudaGraphExec_t handle, cudaStream_t stream_handle) {
  return guarded("cudaGraphLaunch", [&] {
    Device& device = Device::instance();
    GraphExec* exec = find(execs(), handle);
    Stream* stream = device.queue.find(stream_handle);
    if (exec == nullptr) return cudaErrorInvalidValue;
    if (stream == nullptr) return cudaErrorInvalidResourceHandle;
    if (stream->capture != nullptr)
      return unsupported("cudaGraphLaunch into a stream that is being captured");
    launch_graph(device, *exec, stream);
    return cudaSuccess;
  });
}

cudaError_t cudaGraphGetNodes(cudaGraph_t handle, cudaGraphNode_t* nodes, std::size_t* count) {
  return guarded("cudaGraphGetNodes", [&] {
    Graph* graph = find_graph(handle);
    if (graph == nullptr) return cudaErrorInvalidValue;
    const std::size_t room = nodes == nullptr ? 0 : std::min(*count, graph->nodes.size());
    for (std::size_t k = 0; k < room; ++k)
      nodes[k] = reinterpret_cast<cudaGraphNode_t>(graph->nodes[k].get());
    *count = nodes == nullptr ? graph->nodes.size() : room;
    return cudaSuccess;
  });
}

cudaError_t cudaGraphNodeGetType(cudaGraphNode_t node, cudaGraphNodeType* type) {
  return guarded("cudaGraphNodeGetType", [&] {
    if (node == nullptr) return cudaErrorInvalidValue;
    *type = type_of(reinterpret_cast<GraphNode*>(node)->task);
    return cudaSuccess;
  });
}

/// Leaves kernelParams null, because a node keeps the bytes of the arguments, not the pointers to them.
cudaError_t cudaGraphKernelNodeGetParams(cudaGraphNode_t node, cudaKernelNodeParams* parameters) {
  return guarded("cudaGraphKernelNodeGetParams", [&] {
    return node == nullptr ? cudaErrorInvalidValue
                           : kernel_parameters(*reinterpret_cast<GraphNode*>(node), parameters);
  });
}

cudaError_t cudaGraphExecUpdate(cudaGraphExec_t handle, cudaGraph_t graph_handle,
                                cudaGraphExecUpdateResultInfo* result) {
  return guarded("cudaGraphExecUpdate", [&] {
    GraphExec* exec = find(execs(), handle);
    Graph* graph = find_graph(graph_handle);
    if (exec == nullptr || graph == nullptr) return cudaErrorInvalidValue;
    std::size_t differing = 0;
    *result = {};
    if (update(*exec, *graph, differing)) {
      result->result = cudaGraphExecUpdateSuccess;
      return cudaSuccess;
    }
    result->result = cudaGraphExecUpdateErrorTopologyChanged;
    if (differing < graph->nodes.size()) {
      result->errorNode = reinterpret_cast<cudaGraphNode_t>(graph->nodes[differing].get());
    }
    return cudaErrorGraphExecUpdateFailure;
  });
}

cudaError_t cudaGraphDestroy(cudaGraph_t handle) {
  return guarded("cudaGraphDestroy", [&] {
    Graph* graph = find_graph(handle);
    if (graph == nullptr) return cudaErrorInvalidValue;
    std::erase_if(graphs(), [&](const auto& owned) { return owned.get() == graph; });
    return cudaSuccess;
  });
}

cudaError_t cudaGraphExecDestroy(cudaGraphExec_t handle) {
  return guarded("cudaGraphExecDestroy", [&] {
    GraphExec* exec = find(execs(), handle);
    if (exec == nullptr) return cudaErrorInvalidValue;
    for (Stream* chain : exec->chains) Device::instance().queue.destroy_stream(chain);
    std::erase_if(execs(), [&](const auto& owned) { return owned.get() == exec; });
    return cudaSuccess;
  });
}

}  // extern "C"
