// trainer_support.hpp - trainers on made-up images, and what two of them can be compared by.
#pragma once

#include <bit>
#include <cmath>
#include <cstdint>
#include <fstream>
#include <iterator>
#include <memory>
#include <string>
#include <utility>
#include <vector>

#include "tests/support.hpp"
#include "training/trainer.hpp"

namespace train::testing {

/// 100 training images, so that batches of 7 leave a last one of 2.
class TrainerTest : public ::testing::Test {
 protected:
  Trainer make(const Settings& settings) { return Trainer(*backend_, images_, settings, {.threads = 1}); }
  static Settings config(std::string optimizer, std::int64_t batch_size = 7) {
    Settings settings{.optimizer = std::move(optimizer), .lr = {}, .weight_decay = {}};
    settings.hidden = {12};
    settings.batch_size = batch_size;
    return settings;
  }

  const Dataset data_ = testing::made_up_dataset(100, 40);
  std::unique_ptr<Backend> backend_ = make_cpu_backend(1);
  DeviceDataset images_{upload(*backend_, data_.training, data_.normalisation),
                        upload(*backend_, data_.test, data_.normalisation)};
};

/// The bits of every parameter and of every state.
inline std::vector<std::uint32_t> bits(const Checkpoint& checkpoint) {
  std::vector<std::uint32_t> bits;
  for (const NamedValues& tensor : checkpoint.parameters) {
    for (const float value : tensor.values) bits.push_back(std::bit_cast<std::uint32_t>(value));
  }
  for (const onepass::SavedParameter& parameter : checkpoint.optimizer.parameters) {
    bits.push_back(static_cast<std::uint32_t>(parameter.step));
    for (const onepass::SavedState& state : parameter.states) {
      for (const std::byte byte : state.bytes) bits.push_back(std::to_integer<std::uint32_t>(byte));
    }
  }
  return bits;
}

/// The bytes of a saved run: all that there is of it.
inline std::string file_of(const Checkpoint& checkpoint) {
  const Folder folder;
  save_checkpoint(checkpoint, folder / "run");
  std::ifstream file(folder / "run", std::ios::binary);
  return {std::istreambuf_iterator<char>(file), {}};
}

/// A run as one finds it that has been written to a file and read.
inline Checkpoint through_a_file(const Checkpoint& checkpoint) {
  const Folder folder;
  save_checkpoint(checkpoint, folder / "run");
  return load_checkpoint(folder / "run");
}

/// All parameters, one after the other.
inline std::vector<double> numbers_of(const Trainer& trainer) {
  std::vector<double> numbers;
  for (const NamedValues& tensor : trainer.network().read()) {
    numbers.insert(numbers.end(), tensor.values.begin(), tensor.values.end());
  }
  return numbers;
}

/// Everything that stands around a step, at once: 5 steps of 3 batches an epoch of 100 images, the last of
/// them of 7, 7 and 2.
inline Settings everything(std::string optimizer) {
  Settings settings{.optimizer = std::move(optimizer), .lr = 0.02, .weight_decay = 0.01};
  settings.l1 = 1e-3;
  settings.schedule = "one-cycle";
  settings.schedule_steps = 20;
  settings.warmup = 4;
  settings.clip = 0.5;
  settings.hidden = {12, 11};
  settings.init = "orthogonal";
  settings.dropout = 0.3;
  settings.batch_size = 7;
  settings.accumulate = 3;
  return settings;
}

}  // namespace train::testing
