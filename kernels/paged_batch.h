#pragma once
// PagedBatch: which KV blocks each token of a step writes and reads; one for all layers. Plain
// value built by the engine's runner, on the host. Ragged arrays are CSR: the part of sequence s is
// [indptr[s], indptr[s + 1]).
//
// Softmax does not care in which order keys come, so a sequence's blocks are two lists: hot and
// sealed. Sealed blocks are full and lie wholly before the step's tokens: all their slots are
// visible to every query. In ascending order, they hold the positions that hot blocks leave free.
// A hot block holds positions [hot_first[i], hot_first[i] + block_tokens);
// a query at position p sees the slots whose position is <= p. Slots after the sequence's last
// position are never read.

#include <cstdint>
#include <vector>

#include "config/ids.h"

namespace tq::kernels {

struct PagedBatch {
  int32_t n_tokens = 0;  // rows of q, k, v and out
  int32_t n_seqs = 0;

  std::vector<int32_t>
      token_indptr;  // [n_seqs + 1], rows of each sequence, positions ascending by 1
  std::vector<int32_t>
      first_position;  // [n_seqs], position of the sequence's first row in this step

  std::vector<int32_t> hot_indptr;  // [n_seqs + 1]
  std::vector<BlockId> hot_blocks;
  std::vector<int32_t> hot_first;  // position of slot 0, a multiple of block_tokens; ascending

  std::vector<int32_t> sealed_indptr;  // [n_seqs + 1]
  std::vector<BlockId> sealed_blocks;
};

}  // namespace tq::kernels
