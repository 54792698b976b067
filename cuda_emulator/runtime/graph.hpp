// graph.hpp - graphs, and streams whose work is captured into one.
#pragma once

#include <cuda_runtime_api.h>

#include <memory>
#include <string>
#include <vector>

#include "runtime/device.hpp"

namespace cuda_emulator {

struct GraphNode {
  Task task;
  std::vector<std::size_t> after;  ///< Numbers of the nodes that come first; all lower than its own.
};

/// What a cudaGraph_t points to. A cudaGraphNode_t points to an element of `nodes`.
struct Graph {
  std::vector<std::unique_ptr<GraphNode>> nodes;
};

struct GraphExec {
  std::vector<GraphNode> nodes;
  /// One stream for each chain of nodes, so that branches run in an order of the queue's choice.
  std::vector<Stream*> chains;
  std::vector<std::size_t> chain_of_node;
};

/// Shared by all streams that take part in one capture.
struct CaptureState {
  std::unique_ptr<Graph> graph = std::make_unique<Graph>();
  Stream* origin = nullptr;
  cudaStreamCaptureMode mode = cudaStreamCaptureModeGlobal;
  bool invalidated = false;
  bool ended = false;  ///< Events recorded during the capture outlive it.
  unsigned long long id = 0;
  std::vector<std::pair<Stream*, std::vector<std::size_t>>> tails;  ///< What each stream's next node follows.

  std::vector<std::size_t>& tail_of(Stream* stream);
};

cudaError_t add_captured(Stream& stream, Task task);
cudaError_t begin_capture(Device& device, Stream& stream, cudaStreamCaptureMode mode);
cudaError_t end_capture(Device& device, Stream& stream, Graph** graph);
/// Lets `stream` wait for an event that was recorded while another stream was captured.
cudaError_t join_capture(Stream& stream, Event& event);

/// Whether a call that a capture in global mode does not allow is made during one; if so, the capture is
/// spoilt, as the runtime does it.
bool capture_forbids(Device& device);
/// The same for the legacy default stream, which a capture never allows.
bool capture_forbids_legacy(Device& device);

GraphExec* instantiate(Device& device, const Graph& graph);
void launch_graph(Device& device, GraphExec& exec, Stream* stream);
/// Takes over the parameters of `graph`; false, and which node differs, if the shape is another.
bool update(GraphExec& exec, const Graph& graph, std::size_t& differing);

}  // namespace cuda_emulator
