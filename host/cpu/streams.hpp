// streams.hpp - writes the streams of a chunk between steps: their first contents, and saved or kept ones.
#pragma once

#include <cstdint>
#include <span>

#include "host/backend/backend.hpp"
#include "step/perturb.hpp"
#include "step/table.hpp"

namespace onepass::cpu {

/// Fills the streams of a chunk with zeros, except those that begin as the parameter (step/start.hpp).
void zero_streams(const step::Table& table, const step::Chunk& chunk);

/// Writes 0 into the scalars of the tensors from number `first` on, and into the states of rows and columns,
/// except those that have their contents, and into the numbers that updates get of them.
void zero_few(const step::Table& table, std::int64_t first);

/// Copies a chunk's share of the saved streams of its tensor.
void load_streams(const step::Chunk& chunk, std::span<const SavedStream> saved);

/// Puts a chunk's share of the parameter, and of its copy, back to where they were before a perturbation.
void restore_streams(const step::Table& table, const step::Perturbation& how, const step::Chunk& chunk);

}  // namespace onepass::cpu
