// read_order_test.cpp - the norm reads last the gradients that the update reads first, so that the update
// finds them in the cache.
#include <gtest/gtest.h>
#include <signal.h>
#include <sys/mman.h>
#include <unistd.h>

#include <algorithm>
#include <cstdint>
#include <numeric>
#include <vector>

#include "onepass/onepass.hpp"
#include "step/reduction.hpp"
#include "support/guarded.hpp"

namespace onepass::test {
namespace {

/// Memory with protected pages. The first access to a page records its number and lifts its protection.
class WatchedPages {
 public:
  explicit WatchedPages(std::size_t bytes) : bytes_(bytes) {
    memory_ = mmap(nullptr, bytes, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
    touched_.reserve(bytes / page());
  }
  ~WatchedPages() {
    if (watching == this) stop();
    munmap(memory_, bytes_);
  }
  WatchedPages(const WatchedPages&) = delete;
  WatchedPages& operator=(const WatchedPages&) = delete;

  [[nodiscard]] float* data() const { return static_cast<float*>(memory_); }
  void watch() {
    watching = this;
    struct sigaction action = {};
    action.sa_sigaction = note;
    action.sa_flags = SA_SIGINFO;
    sigaction(SIGSEGV, &action, &before_);
    mprotect(memory_, bytes_, PROT_NONE);
  }
  void stop() {
    mprotect(memory_, bytes_, PROT_READ | PROT_WRITE);
    sigaction(SIGSEGV, &before_, nullptr);
    watching = nullptr;
  }
  /// The numbers of the pages, in the order of their first accesses.
  [[nodiscard]] const std::vector<std::size_t>& touched() const { return touched_; }
  static std::size_t page() { return static_cast<std::size_t>(sysconf(_SC_PAGESIZE)); }

 private:
  static void note(int /*signal*/, siginfo_t* info, void* /*context*/) {
    WatchedPages& self = *watching;
    const std::size_t number =
        (reinterpret_cast<std::uintptr_t>(info->si_addr) - reinterpret_cast<std::uintptr_t>(self.memory_)) /
        page();
    if (number >= self.bytes_ / page()) _exit(98);  // Another fault, which the test cannot handle.
    self.touched_.push_back(number);                // Allocates nothing: the constructor reserved the memory.
    mprotect(static_cast<std::byte*>(self.memory_) + number * page(), page(), PROT_READ | PROT_WRITE);
  }

  inline static WatchedPages* watching = nullptr;
  void* memory_;
  std::size_t bytes_;
  std::vector<std::size_t> touched_;
  struct sigaction before_ = {};
};

TEST(ReadOrder, OnTheCpuTheNormEndsWhereTheUpdateBegins) {
  constexpr std::int64_t kMiB = 1 << 18;  // elements
  constexpr std::int64_t kNumel = 5 * kMiB + 3 * kMiB / 4;
  WatchedPages gradient(kNumel * sizeof(float));
  GuardedBuffer value(Device::cpu(), kNumel, 0);
  const std::vector<Parameter> parameters{
      {.name = "w", .value = value.tensor(), .grad = {gradient.data(), kNumel, Device::cpu()}}};
  Optimizer optimizer(SGD{.lr = 0.1}, parameters, {.threads = 1});
  optimizer.set_gradient_handling({.clip_norm = ClipGradNorm{.max_norm = 1.0}});

  gradient.watch();
  optimizer.step();
  gradient.stop();
  const std::vector<std::size_t>& order = gradient.touched();
  ASSERT_EQ(order.size(), kNumel * sizeof(float) / WatchedPages::page());
  // The norm reads each MiB upwards, and the last MiB first.
  const std::size_t pages = (1 << 20) / WatchedPages::page();
  for (std::size_t first = 0; first < order.size(); first += pages) {
    const std::size_t count = std::min(pages, order.size() - first);
    std::vector<std::size_t> wanted(count);
    std::iota(wanted.begin(), wanted.end(), order.size() - first - count);
    EXPECT_EQ(std::vector(order.begin() + first, order.begin() + first + count), wanted)
        << "MiB " << first / pages;
  }
}

/// The leaves that the warps read in turn number `turns`, counted from 0, in ascending order. Leaves are
/// counted from the first element on.
std::vector<std::int64_t> read_last(std::int64_t pieces, std::int64_t warps, std::int64_t turns) {
  std::vector<std::int64_t> leaves;
  for (std::int64_t warp = 0; warp < warps; ++warp) {
    const std::int64_t turn = warp + turns * warps;
    if (turn >= pieces * step::kLeavesOfPiece) continue;
    const step::LeafPlace place = step::leaf_at(turn, pieces);
    leaves.push_back(place.piece * step::kLeavesOfPiece + place.begin / step::kLeaf);
  }
  std::ranges::sort(leaves);
  return leaves;
}

TEST(ReadOrder, EachTurnOfAGridReadsTheLeavesRightBeforeThoseOfTheTurnBefore) {
  constexpr std::int64_t kPieces = 1000, kWarps = 8 * 44;
  std::int64_t end = kPieces * step::kLeavesOfPiece;
  for (std::int64_t turn = 0; end > 0; ++turn) {
    const std::vector<std::int64_t> leaves = read_last(kPieces, kWarps, turn);
    const std::int64_t begin = std::max<std::int64_t>(end - kWarps, 0);
    std::vector<std::int64_t> wanted(static_cast<std::size_t>(end - begin));
    std::iota(wanted.begin(), wanted.end(), begin);
    ASSERT_EQ(leaves, wanted) << "turn " << turn;
    end = begin;
  }
}

}  // namespace
}  // namespace onepass::test
