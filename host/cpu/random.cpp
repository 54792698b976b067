#include "host/cpu/random.hpp"

#include <algorithm>

#include "host/cpu/isa.hpp"
#include "host/cpu/threads/parallel.hpp"

namespace onepass::cpu {
namespace {

using initializers::DistributionKind;
using step::ElementRange;

/// Elements of a piece of work: a multiple of the words that the loops draw at once, so that no word is drawn
/// twice.
constexpr std::int64_t kPiece = 4096;

/// Nanoseconds for one element, measured with AVX-512 on one core. Other instruction sets are slower, so that
/// for them more threads pay sooner than this says.
constexpr double kDropoutNanoseconds = 0.6;
double nanoseconds_of(DistributionKind kind) {
  switch (kind) {
    case DistributionKind::constant:
      return 0.1;
    case DistributionKind::uniform:
      return 0.8;
    case DistributionKind::normal:
      return 2.0;
    default:
      return 4.0;
  }
}

/// Calls work(part, offset) on threads for parts of a range, which end at multiples of kPiece in the logical
/// tensor. `offset`: of the part in the range.
template <class Work>
void over_run(const ElementRange& run, double nanoseconds, const Work& work) {
  if (run.count == 0) return;
  const std::int64_t end = run.first + run.count;
  const std::int64_t first_piece = run.first / kPiece;
  const std::int64_t pieces = (end - 1) / kPiece - first_piece + 1;
  in_parallel(pieces, nanoseconds * kPiece, [&](std::int64_t begin_piece, std::int64_t end_piece) {
    const std::int64_t from = std::max(run.first, (first_piece + begin_piece) * kPiece);
    const std::int64_t to = std::min(end, (first_piece + end_piece) * kPiece);
    if (from < to) work(ElementRange{from, to - from}, from - run.first);
  });
}

}  // namespace

const RandomLoops& best_random_loops() {
  switch (loops_of(best_isa())) {
#if defined(ONEPASS_WIDE_LOOPS)
    case Isa::avx512:
      return random_loops<Isa::avx512>();
    case Isa::avx2:
      return random_loops<Isa::avx2>();
#endif
    default:
      return random_loops<Isa::baseline>();
  }
}

void fill(const step::FillJob& job) {
  const RandomLoops& loops = best_random_loops();
  over_run(job.range, nanoseconds_of(job.distribution.kind),
           [&](const ElementRange& part, std::int64_t offset) {
             step::FillJob share = job;
             share.range = part;
             share.out += offset;
             loops.fill(share);
           });
}

void dropout(const step::DropoutJob& job) {
  const RandomLoops& loops = best_random_loops();
  over_run(job.range, kDropoutNanoseconds, [&](const ElementRange& part, std::int64_t offset) {
    step::DropoutJob share = job;
    share.range = part;
    share.out += offset;
    share.in += offset;
    if (share.residual != nullptr) share.residual += offset;
    loops.dropout(share);
  });
}

}  // namespace onepass::cpu
