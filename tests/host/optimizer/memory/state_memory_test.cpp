// state_memory_test.cpp - the streams of new parameters begin with the right bits, are written by the threads
// that step them, and are made in place.
#include <gtest/gtest.h>
#include <malloc.h>
#include <sys/resource.h>

#include <fstream>
#include <string>

#include "support/formats/first_contents.hpp"
#include "support/formats/format_model.hpp"
#include "support/formats/format_state.hpp"
#include "support/named.hpp"

namespace onepass::test {
namespace {

/// While an object lives, malloc fills the memory that it returns, so that a byte that nobody writes shows.
class DirtyMemory {
 public:
  DirtyMemory() { mallopt(M_PERTURB, 0x5a); }
  ~DirtyMemory() { mallopt(M_PERTURB, 0); }
  DirtyMemory(const DirtyMemory&) = delete;
  DirtyMemory& operator=(const DirtyMemory&) = delete;
};

class FirstContents : public testing::TestWithParam<FormatCase> {
 protected:
  [[nodiscard]] FormatModel model() const { return model_of_every_kind(GetParam(), Device::cpu()); }
  [[nodiscard]] Options options(int threads, DType ema, std::int64_t chunk_size) const {
    return {.chunk_size = chunk_size,
            .threads = threads,
            .storage = GetParam().low(),
            .float32_storage = GetParam().wide(),
            .ema = EMA{.dtype = ema},
            .accumulates_gradients = chunk_size != 0};
  }
};

INSTANTIATE_TEST_SUITE_P(All, FirstContents, testing::ValuesIn(all_format_cases()), by_name);

TEST_P(FirstContents, AreZerosAndTheParameterOnAnyNumberOfThreads) {
  const DirtyMemory dirty;
  for (const int threads : {1, 3}) {
    for (const DType ema : {DType::float32, DType::bfloat16}) {
      for (const std::int64_t chunk_size : {0, 64, 8256}) {
        SCOPED_TRACE(testing::Message()
                     << threads << " threads, average in " << to_string(ema) << ", chunks of " << chunk_size);
        const FormatModel values = model();
        const Optimizer optimizer{Adam{.amsgrad = true}, values.parameters(),
                                  options(threads, ema, chunk_size)};
        expect_first_contents(values, optimizer.state_dict());
        EXPECT_TRUE(values.intact());
      }
    }
  }
}

TEST_P(FirstContents, OfLateParametersLeaveOldStatesAlone) {
  const DirtyMemory dirty;
  for (const int threads : {1, 3}) {
    const FormatModel all = model();
    std::vector<Parameter> early = all.parameters();
    const std::vector<Parameter> late(early.begin() + 4, early.end());
    early.resize(4);
    Optimizer optimizer{Adam{}, early, options(threads, DType::bfloat16, 64)};
    all.draw_finite(1);
    optimizer.accumulate();
    optimizer.step();
    const StateDict before = optimizer.state_dict();
    optimizer.add_parameters(late);
    const StateDict after = optimizer.state_dict();
    for (std::size_t i = 0; i < early.size(); ++i) {
      EXPECT_EQ(after.parameters[i].step, 1);
      EXPECT_EQ(all_bytes(all.value(i), before.parameters[i]), all_bytes(all.value(i), after.parameters[i]));
    }
    expect_first_contents(all, after, early.size());
  }
}

TEST_P(FirstContents, AreReplacedByALoadedDictOnAnyNumberOfThreads) {
  const FormatModel trained = model(), loaded = model();
  Optimizer source{Adam{}, trained.parameters(), options(1, DType::float32, 64)};
  for (int step = 1; step <= 3; ++step) {
    trained.draw_finite(step);
    source.accumulate();
    if (step < 3) source.step();
  }
  const StateDict dict = source.state_dict();
  for (const int threads : {1, 3}) {
    Optimizer target{Adam{}, loaded.parameters(), options(threads, DType::float32, 8256)};
    target.load_state_dict(dict);
    const StateDict again = target.state_dict();
    for (std::size_t i = 0; i < trained.size(); ++i) {
      const SavedParameter &given = dict.parameters[i], &taken = again.parameters[i];
      for (std::size_t s = 0; s < given.states.size(); ++s) {
        ASSERT_EQ(given.states[s].bytes, taken.states[s].bytes) << given.states[s].name << " of " << i;
      }
      ASSERT_EQ(given.gradient_sum, taken.gradient_sum);
      ASSERT_EQ(given.accumulated, taken.accumulated);
    }
  }
}

/// A bfloat16 parameter of 2^23 elements, and an optimizer with a float32 master, states and an average.
class LargeModel {
 public:
  static constexpr std::int64_t kElements = std::int64_t{1} << 23;

  [[nodiscard]] Optimizer optimizer(int threads) {
    const Tensor value{elements_.data(), DType::bfloat16, kElements};
    return {AdamW{},
            std::vector<Parameter>{{.name = "w", .value = value}},
            {.threads = threads, .storage = {.master = Master::float32}, .ema = EMA{}}};
  }

 private:
  std::vector<std::uint16_t> elements_ = std::vector<std::uint16_t>(kElements, 0x3f80);
};

/// Page faults of the process, or of the calling thread, so far.
long faults_of(int who) {
  rusage usage{};
  EXPECT_EQ(getrusage(who, &usage), 0);
  return usage.ru_minflt;
}

// How many parts the workers take depends on when they wake up: one optimizer is enough of whose memory they
// have touched a tenth.
TEST(StateMemory, IsTouchedFirstByTheThreadsThatStepIt) {
  LargeModel model;
  model.optimizer(3).step();  // starts the workers, which touch memory of their own
  constexpr int kMostTries = 100;
  long all = 0, others = 0;
  for (int tries = 0; tries < kMostTries && others * 10 <= all; ++tries) {
    const long all_before = faults_of(RUSAGE_SELF), mine_before = faults_of(RUSAGE_THREAD);
    const Optimizer optimizer = model.optimizer(3);
    all = faults_of(RUSAGE_SELF) - all_before;
    others = all - (faults_of(RUSAGE_THREAD) - mine_before);
  }
  EXPECT_GT(others * 10, all) << "of " << all << " page faults, the pool's threads had " << others;
}

/// Returns a line of /proc/self/status in bytes: the memory that the process has, or has had at most.
std::int64_t status_of(const std::string& name) {
  std::ifstream status("/proc/self/status");
  for (std::string line; std::getline(status, line);) {
    if (line.starts_with(name + ":")) return std::stoll(line.substr(name.size() + 1)) * 1024;
  }
  return 0;
}

TEST(StateMemory, IsMadeWithoutTemporaryMemoryOfTheModelsSize) {
  LargeModel model;
  model.optimizer(1).step();
  std::ofstream clear("/proc/self/clear_refs");
  clear << "5" << std::flush;  // the peak is the present size
  if (!clear) GTEST_SKIP() << "this system does not tell the most memory that a process has had";
  const Optimizer optimizer = model.optimizer(1);
  const std::int64_t temporary = status_of("VmHWM") - status_of("VmRSS");
  EXPECT_LT(temporary, LargeModel::kElements / 4) << "bytes beside the optimizer's own";
}

}  // namespace
}  // namespace onepass::test
