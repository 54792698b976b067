// onepass.hpp - everything a training loop needs.
#pragma once

#include "onepass/device.hpp"
#include "onepass/error.hpp"
#include "onepass/gradients.hpp"
#include "onepass/optimizer.hpp"
#include "onepass/optimizers/adam.hpp"
#include "onepass/optimizers/adamw.hpp"
#include "onepass/optimizers/rmsprop.hpp"
#include "onepass/optimizers/sgd.hpp"
#include "onepass/parameter.hpp"
#include "onepass/stream.hpp"
#include "onepass/tensor.hpp"
