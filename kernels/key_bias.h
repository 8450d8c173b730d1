#pragma once
// KeyBias: the biases of one layer's key projection (Qwen 2), where they are so large that coding a
// key would drown the rest of it. Built at load by models/, read by backends through AttendCall.
// Immutable; any thread.
//
// A key at position p is R_p (W x + b), R_p the rotation of RoPE (arXiv 2104.09864). The store is
// given R_p W x alone, and attend() adds what the bias has to do with the scores, exactly: of a
// tile whose first token is at position f, token t = p - f,
//     <q, R_p b> = <R_-f q, R_t b>,
// one turn of q for each tile and a product with 32 vectors that are the same for all tiles.

#include <cstdint>
#include <span>
#include <vector>

#include "config/result.h"
#include "quant/block_layout.h"

namespace tq::kernels {

// The pairs of coordinates that RoPE turns, and by how much per position.
struct RopePairs {
  std::vector<float> frequencies;  // [n_pairs], radians per position
  float magnitude = 1.0f;          // of every rotated vector (YaRN)
  bool interleaved = false;        // pairs (2i, 2i + 1); else (i, i + n_pairs)
};

// cos and sin of f * frequency for f = 0, 32, 64, ...: one table for all layers.
class TileTurns {
 public:
  TileTurns(const RopePairs& pairs, int64_t n_positions);

  const RopePairs& pairs() const noexcept { return pairs_; }
  int n_pairs() const noexcept { return static_cast<int>(pairs_.frequencies.size()); }
  int64_t n_positions() const noexcept { return n_tiles_ * quant::kTileTokens; }
  // No other table of this process has it: what a device keeps is found by it.
  uint64_t id() const noexcept { return id_; }
  std::span<const float> values() const noexcept { return values_; }  // [n_tiles, 2, n_pairs]
  // [n_pairs] cosines, then [n_pairs] sines, of a position that is a multiple of 32.
  std::span<const float> at(int64_t position) const noexcept;
  uint64_t bytes() const noexcept { return values_.size() * sizeof(float); }

 private:
  RopePairs pairs_;
  int64_t n_tiles_;
  uint64_t id_;
  std::vector<float> values_;
};

class KeyBias {
 public:
  // bias [n_kv_heads, head_dim], finite; turns outlives this. Errors: sizes that do not fit.
  static Result<KeyBias> create(std::span<const float> bias,
                                int n_kv_heads,
                                const TileTurns& turns);

  const TileTurns& turns() const noexcept { return *turns_; }
  int n_kv_heads() const noexcept { return n_kv_heads_; }
  int head_dim() const noexcept { return head_dim_; }
  uint64_t id() const noexcept { return id_; }                      // as TileTurns::id()
  std::span<const float> tiles() const noexcept { return tiles_; }  // [n_kv_heads, head_dim, 32]
  // R_t b of one KV head, [head_dim, 32].
  std::span<const float> tile(int kv_head) const noexcept;
  uint64_t bytes() const noexcept { return tiles_.size() * sizeof(float); }

 private:
  explicit KeyBias(const TileTurns& turns);

  const TileTurns* turns_;
  int n_kv_heads_ = 0;
  int head_dim_ = 0;
  uint64_t id_;
  std::vector<float> tiles_;
};

// R_-f q: one row, in place. turn: TileTurns::at(f).
void turn_back(std::span<float> row, const RopePairs& pairs, std::span<const float> turn) noexcept;

}  // namespace tq::kernels
