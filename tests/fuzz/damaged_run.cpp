// damaged_run.cpp - saved runs of the trainer with damaged bytes, whose checksum fits them.
#include <gtest/gtest.h>
#include <zlib.h>

#include <algorithm>
#include <cstring>
#include <filesystem>
#include <fstream>
#include <iterator>
#include <optional>

#include "fuzz/fuzz.hpp"
#include "tests/support.hpp"
#include "training/trainer.hpp"

namespace onepass::fuzz {
namespace {

using Bytes = std::vector<std::byte>;

constexpr std::size_t kHeader = 8 + 4 + 8;  // magic, version, size of the payload

/// Images and a backend, which all seeds share.
struct Trainers {
  train::Dataset data = train::testing::made_up_dataset(30, 10);
  std::unique_ptr<train::Backend> backend = train::make_cpu_backend(1);
  train::DeviceDataset images{train::upload(*backend, data.training, data.normalisation),
                              train::upload(*backend, data.test, data.normalisation)};

  train::Trainer make(const train::Settings& settings) {
    return {*backend, images, settings, {.threads = 1}};
  }
};

train::Settings draw_settings(Draw& draw) {
  train::Settings settings;
  settings.optimizer = draw.pick({"sgd", "momentum", "adam", "adamw", "rmsprop"});
  settings.lr = draw.pick({0.001, 0.02});
  settings.l1 = draw.pick({0.0, 1e-3});
  settings.schedule = draw.pick({"constant", "one-cycle", "cosine", "step"});
  settings.schedule_steps = 8;
  settings.warmup = draw.pick<std::int64_t>({0, 2});
  if (draw.chance(0.3)) settings.clip = 0.5;
  if (draw.chance(0.3)) settings.sam = 0.1;
  settings.precision = draw.pick({"f32", "bf16"});
  settings.hidden = {5, 3};
  settings.dropout = draw.pick({0.0, 0.3});
  settings.batch_size = 7;
  settings.accumulate = draw.pick<std::int64_t>({1, 2});
  return settings;
}

Bytes file_of(const train::Checkpoint& run, const std::filesystem::path& path) {
  train::save_checkpoint(run, path);
  std::ifstream file(path, std::ios::binary);
  const std::string text{std::istreambuf_iterator<char>(file), {}};
  const auto* const first = reinterpret_cast<const std::byte*>(text.data());
  return {first, first + text.size()};
}

/// Damages the payload: random bytes, counts, more bytes or fewer.
void damage_payload(Draw& draw, Bytes& payload) {
  const std::size_t at = draw.below(payload.size());
  const std::int64_t count = draw.chance(0.3) ? static_cast<std::int64_t>(draw.bits()) : draw.odd_count();
  switch (draw.below(5)) {
    case 0:
      return payload.resize(1 + draw.below(payload.size()));
    case 1:
      payload.insert(payload.begin() + static_cast<std::ptrdiff_t>(at), 1 + draw.below(9), std::byte{0});
      return;
    case 2:
      if (payload.size() - at >= sizeof count) std::memcpy(payload.data() + at, &count, sizeof count);
      return;
    case 3:
      payload[at] = static_cast<std::byte>(draw.bits() & 0xff);
      return;
    default:
      return damage(draw, payload);
  }
}

/// Writes a file with this payload, and a size and a checksum that fit.
void write(const std::filesystem::path& path, const Bytes& header, const Bytes& payload,
           std::uint32_t version) {
  Bytes bytes(header.begin(), header.begin() + kHeader);
  const std::uint64_t size = payload.size();
  std::memcpy(bytes.data() + 8, &version, sizeof version);
  std::memcpy(bytes.data() + 12, &size, sizeof size);
  bytes.insert(bytes.end(), payload.begin(), payload.end());
  const auto sum =
      static_cast<std::uint32_t>(crc32_z(0, reinterpret_cast<const Bytef*>(payload.data()), payload.size()));
  const auto* const first = reinterpret_cast<const std::byte*>(&sum);
  bytes.insert(bytes.end(), first, first + sizeof sum);
  std::ofstream(path, std::ios::binary)
      .write(reinterpret_cast<const char*>(bytes.data()), static_cast<std::streamsize>(bytes.size()));
}

/// Networks of damaged settings may take more memory than there is.
bool is_small(const train::Settings& settings) {
  return settings.batch_size <= 5000 && settings.hidden.size() < 20 &&
         std::ranges::all_of(settings.hidden, [](std::int64_t width) { return width <= 2000; });
}

/// Continues from a file as onepass-train does. Returns the sentence of a refusal, if there is one.
std::optional<std::string> resume(Trainers& trainers, const std::filesystem::path& path) {
  try {
    const train::Checkpoint run = train::load_checkpoint(path);
    const train::Settings settings = train::load_settings(run.settings);
    if (!is_small(settings)) return "too large for this test";
    train::Trainer trainer = trainers.make(settings);
    trainer.restore(run);
    trainer.run(2);
    // What the trainer saves now, it must be able to read.
    train::save_checkpoint(trainer.checkpoint(), path);
    train::Trainer again = trainers.make(train::load_settings(train::load_checkpoint(path).settings));
    again.restore(train::load_checkpoint(path));
    return {};
  } catch (const train::Failure& error) {
    return error.what();
  } catch (const train::UsageError& error) {
    return error.what();
  } catch (const InvalidArgument& error) {
    return error.what();
  }
}

}  // namespace

void damaged_runs(std::uint64_t seed, Trace& trace) {
  static Trainers trainers;
  Draw draw(test::mix(seed) + 2);
  const train::testing::Folder folder;
  train::Trainer trainer = trainers.make(draw_settings(draw));
  trace.call("a run");
  trainer.run(1 + static_cast<std::int64_t>(draw.below(4)));
  const Bytes whole = file_of(trainer.checkpoint(), folder / "run");
  const Bytes payload(whole.begin() + kHeader, whole.end() - sizeof(std::uint32_t));
  for (int attempt = 0; attempt < 20; ++attempt) {
    trace.call("a damaged file");
    Bytes damaged = payload;
    for (std::size_t times = draw.below(3); times > 0; --times) damage_payload(draw, damaged);
    write(folder / "damaged", whole, damaged, draw.chance(0.1) ? 4 : 5);
    const std::optional<std::string> refusal = resume(trainers, folder / "damaged");
    trace.add(refusal ? " (refused: " + *refusal + ")" : " (taken)");
    require(!refusal || !refusal->empty(), "refused without a sentence");
  }
}

}  // namespace onepass::fuzz
