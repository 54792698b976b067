#include <cmath>
#include <string>
#include <vector>

#include "host/check/sentence.hpp"
#include "host/schedules/schedule_check.hpp"
#include "onepass/schedules/evaluate.hpp"

// What comes out of a file is checked as strictly as what a caller writes: it decides what a kernel reads.
namespace onepass::schedule {
namespace {

[[noreturn]] void refuse_piece(std::size_t index, const std::string& sentence) {
  throw InvalidArgument("onepass: Schedule: piece " + std::to_string(index) + " " + sentence);
}

/// Checks the parameters by the struct that they stand for; gives what they would be packed into again.
template <class Parameters>
Piece repacked(const Piece& piece) {
  const Parameters parameters = Parameters::of(piece);
  parameters.check();
  return parameters.piece();
}

Piece repacked_milestones(const Piece& piece, std::span<const double> numbers) {
  MultiStepLR parameters{.milestones = {}, .gamma = piece.parameters[0]};
  for (const double milestone : numbers) {
    if (milestone != std::floor(milestone)) rule::fail("Schedule", "a milestone is no whole number");
    parameters.milestones.push_back(whole(milestone));
  }
  parameters.check();
  return parameters.piece();
}

Piece repacked_table(std::span<const double> numbers) {
  if (numbers.empty()) rule::fail("Schedule", "a table has no numbers");
  check_table(numbers);
  return {.kind = Kind::table};
}

Piece repack(std::size_t index, const Piece& piece, std::span<const double> numbers) {
  switch (piece.kind) {
    case Kind::identity:
      return {};
    case Kind::step:
      return repacked<StepLR>(piece);
    case Kind::multi_step:
      return repacked_milestones(piece, numbers);
    case Kind::constant:
      return repacked<ConstantLR>(piece);
    case Kind::linear:
      return repacked<LinearLR>(piece);
    case Kind::polynomial:
      return repacked<PolynomialLR>(piece);
    case Kind::cosine_annealing:
      return repacked<CosineAnnealingLR>(piece);
    case Kind::warm_restarts:
      return repacked<CosineAnnealingWarmRestarts>(piece);
    case Kind::one_cycle:
      return repacked<OneCycleLR>(piece);
    case Kind::cyclic:
      return repacked<CyclicLR>(piece);
    case Kind::warmup_stable_decay:
      return repacked<WarmupStableDecay>(piece);
    case Kind::table:
      return repacked_table(numbers);
  }
  refuse_piece(index, "is of kind " + std::to_string(static_cast<int>(piece.kind)) + ", which there is not");
}

bool takes_numbers(Kind kind) { return kind == Kind::multi_step || kind == Kind::table; }

/// Its place among the others: stages count up from 0, each from a piece that begins at step 0.
void check_place(std::span<const Piece> pieces, std::size_t index) {
  const Piece& piece = pieces[index];
  const bool opens = index == 0 || piece.stage != pieces[index - 1].stage;
  const std::int32_t stage = index == 0 ? 0 : pieces[index - 1].stage + (opens ? 1 : 0);
  if (piece.stage != stage) {
    refuse_piece(index, "is of stage " + std::to_string(piece.stage) + ", where " + std::to_string(stage) +
                            " is the next");
  }
  if (opens ? piece.begin != 0 : piece.begin <= pieces[index - 1].begin) {
    refuse_piece(index, "begins at step " + std::to_string(piece.begin) +
                            (opens ? ", but is the first of its stage" : ", not after the one before"));
  }
}

std::span<const double> numbers_of(std::span<const Piece> pieces, std::size_t index,
                                   std::span<const double> numbers) {
  const Piece& piece = pieces[index];
  const auto all = static_cast<std::int64_t>(numbers.size());
  const std::int64_t first = piece.first_number, count = piece.number_count;
  if (first < 0 || first > all || count < 0 || count > all - first ||
      (!takes_numbers(piece.kind) && (first != 0 || count != 0))) {
    refuse_piece(index, "takes " + std::to_string(count) + " numbers from number " + std::to_string(first) +
                            ", out of " + std::to_string(all));
  }
  return numbers.subspan(static_cast<std::size_t>(first), static_cast<std::size_t>(count));
}

}  // namespace

void check_pieces(std::span<const Piece> pieces, std::span<const double> numbers) {
  if (pieces.empty()) rule::fail("Schedule", "there are no pieces");
  for (std::size_t i = 0; i < pieces.size(); ++i) {
    check_place(pieces, i);
    Piece wanted = repack(i, pieces[i], numbers_of(pieces, i, numbers));
    wanted.stage = pieces[i].stage;
    wanted.begin = pieces[i].begin;
    wanted.first_number = pieces[i].first_number;
    wanted.number_count = pieces[i].number_count;
    if (wanted != pieces[i]) refuse_piece(i, "has parameters that no schedule of its kind has");
  }
}

}  // namespace onepass::schedule
