// trainer_support.hpp - trainers on made-up images, and functions that compare them.
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

/// Trainers on 100 training images: of batches of 7 the last one has 2 images.
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

/// Returns the bits of all parameters, step counts and states.
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

/// Returns the bytes of a saved run, which contain its whole state.
inline std::string file_of(const Checkpoint& checkpoint) {
  const Folder folder;
  save_checkpoint(checkpoint, folder / "run");
  std::ifstream file(folder / "run", std::ios::binary);
  return {std::istreambuf_iterator<char>(file), {}};
}

/// Writes a run to a file and reads it back.
inline Checkpoint through_a_file(const Checkpoint& checkpoint) {
  const Folder folder;
  save_checkpoint(checkpoint, folder / "run");
  return load_checkpoint(folder / "run");
}

/// Returns the values of all parameters, one after the other.
inline std::vector<double> numbers_of(const Trainer& trainer) {
  std::vector<double> numbers;
  for (const NamedValues& tensor : trainer.network().read()) {
    numbers.insert(numbers.end(), tensor.values.begin(), tensor.values.end());
  }
  return numbers;
}

/// Returns settings with every option around the step. An epoch of 100 images has 5 steps of 3 batches; the
/// batches of the last step have 7, 7 and 2 images.
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
