// handles.hpp - what the handles of the C interface own.
#pragma once

#include <memory>
#include <string>
#include <utility>
#include <vector>

#include "c/source/guard.hpp"
#include "onepass/onepass.hpp"

struct onepass_optimizer {
  onepass::Optimizer optimizer;
  std::size_t named = 0;  ///< Parameters that were registered, to name the next one that has no name.
  const onepass_shared_loss_scaler* shared_scaler = nullptr;  ///< That the gradient handling has.
  // onepass_get_gradient_handling() returns pointers to these.
  onepass_clip_grad_norm clip_norm{};
  onepass_loss_scaler loss_scaler{};
};
struct onepass_schedule {
  onepass::Schedule schedule;
  std::vector<onepass_segment> segments;  ///< For onepass_schedule_segments().
};
struct onepass_shared_loss_scaler {
  onepass::SharedLossScaler scaler;
};
struct onepass_random {
  onepass::RandomState state;
};
struct onepass_buffer {
  onepass::DeviceBuffer buffer;
};
struct onepass_texts {
  std::vector<std::string> texts;
};
struct onepass_streams {
  std::vector<onepass_stream_info> streams;
};
struct onepass_dict {
  onepass::StateDict dict;
};

namespace onepass::c {

inline Optimizer& optimizer_of(onepass_optimizer* handle) {
  require(handle, "optimizer");
  return handle->optimizer;
}
inline const Optimizer& optimizer_of(const onepass_optimizer* handle) {
  require(handle, "optimizer");
  return handle->optimizer;
}

}  // namespace onepass::c
