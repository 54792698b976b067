// layout.hpp - the tensors that a file has of each parameter, and their names.
#pragma once

#include <string>
#include <string_view>
#include <vector>

#include "host/checkpoint/document.hpp"
#include "host/checkpoint/safetensors.hpp"

namespace onepass::checkpoint {

inline constexpr std::string_view kEma = "ema", kSlow = "slow", kGradientSum = "gradient_sum";

/// "fc.weight/exp_avg"
[[nodiscard]] std::string key_of(const std::string& parameter, std::string_view stream);
/// "fc.weight/exp_avg.scales"
[[nodiscard]] std::string scales_key(const std::string& parameter, std::string_view state);

/// "master" or "remainder"; "" if a parameter with this master has neither.
[[nodiscard]] std::string_view rest_name(Master master);
/// Bytes of an element of it; 0 if there is none.
[[nodiscard]] std::size_t rest_size(Master master);

/// Returns the tensors of a parameter: its value, unless values are left out; its master or remainder; its
/// states, each followed by its scales if it has them; its moving average; and its gradient sum.
[[nodiscard]] std::vector<NamedTensor> tensors_of(const PieceRecord& piece, bool has_values);

}  // namespace onepass::checkpoint
