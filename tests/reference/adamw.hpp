// adamw.hpp - AdamW in float64.
#pragma once

#include "reference/adam.hpp"

namespace reference {

/// Loshchilov and Hutter 2019, algorithm 2, in torch.optim.AdamW's form: theta is multiplied by
/// 1 - lr weight_decay, then moves by Adam's step. With coupled decay AdamW equals Adam. States: as Adam.
struct AdamW : Adam {
  using Adam::Adam;
};

}  // namespace reference
