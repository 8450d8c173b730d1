#pragma once
// World: one backend with its arena and sequences, driven as the engine would: steps of rows,
// seals, block ids in shuffled order, memory full of NaN patterns at the start. Rows come from a
// seeded function of (sequence, position), so the same tokens can be fed in any chunks. One thread.

#include <cstdint>
#include <map>
#include <memory>
#include <random>
#include <string>
#include <vector>

#include "kernels/paged_attention.h"
#include "tests/kernels/backends.h"

namespace tq::kernels::test {

// What the rows look like.
enum class Data {
  kGaussian,
  kGrowing,  // each key's score is higher than the last one's: the softmax is rescaled again and
             // again
  kEqual,    // all keys the same: every weight is equal
  kTiny,     // far below what an fp16 could hold
  kHuge,     // far above it; queries small, so that scores stay finite
  kHeavy,    // of every 32 tokens one is looked at 64 times as much as the others, and has values
             // of a 64th of theirs
  kPeaked,   // keys around position 40 have nearly all the weight: sealed ones, in tests that seal
  kSpiky,    // one coordinate holds nearly all of the norm, zero rows in between
};
std::string to_string(Data data);

enum class Kind : uint64_t { kQ, kK, kV };

struct RowKey {
  uint64_t seed = 0;
  Data data = Data::kGaussian;
  Kind kind = Kind::kQ;
  int seq = 0;
  int64_t position = 0;
  LayerIdx layer = 0;
};
// [n_heads, head_dim] of one token.
std::vector<float> make_rows(const RowKey& key, int n_heads, int head_dim);

struct Chunk {
  int seq = 0;
  int n_rows = 0;
};

struct WorldOptions {
  std::string backend = "scalar";
  AttentionOptions attention;
  Data data = Data::kGaussian;
  uint64_t seed = 1;
  PoolSizes pools{.hot_blocks = 64, .sealed_blocks = 64};
  // Queries are, once rotated, up to 127 steps of 1/64: int8 coefficients hold them exactly.
  bool whole_queries = false;
  float key_bias = 0.0f;          // standard deviation of the biases of keys; 0: none
  bool rope_interleaved = false;  // with a key bias
  int rope_pairs = 0;             // with a key bias; at most head_dim / 2
};

// The queries of one token, [n_heads, head_dim], not rotated.
std::vector<float> make_queries(const WorldOptions& options,
                                int seq,
                                int64_t position,
                                LayerIdx layer);

// Biases of one layer's keys, [n_kv_heads, head_dim], and how often each pair turns per position.
std::vector<float> make_key_bias(const WorldOptions& options, LayerIdx layer);
RopePairs make_rope_pairs(const WorldOptions& options);

class World {
 public:
  explicit World(const WorldOptions& options);

  // One step: appends each chunk's next rows in all layers and attends. The outputs of each row,
  // all layers one after the other, are kept in outputs().
  void step(const std::vector<Chunk>& chunks);
  // Seals block `index` of a sequence (full, before its next row) and frees its hot block.
  void seal(int seq, int index);
  bool can_seal(int seq, int index) const;
  // Forgets a sequence; its blocks go back to the pools with what they hold.
  void free_sequence(int seq);

  int64_t length(int seq) const;
  int n_full_blocks(int seq) const;
  bool is_sealed(int seq, int index) const;
  // [n_layers, n_heads, head_dim] of a row's output.
  const std::vector<float>& output(int seq, int64_t position) const;
  const KvArena& arena() const { return *arena_; }
  KvArena& arena() { return *arena_; }
  PagedAttention& backend() { return *backend_; }
  const WorldOptions& options() const { return options_; }

  PagedBatch make_batch(const std::vector<Chunk>& chunks);
  // Bytes of hot and sealed memory that no append or seal has a right to touch still hold the
  // poison.
  bool poison_intact() const;

 private:
  struct Block {
    bool sealed = false;
    BlockId id = kNoBlock;
  };
  struct Sequence {
    int64_t length = 0;
    std::vector<Block> blocks;  // by position
  };
  BlockId take(std::vector<int32_t>& pool);

  WorldOptions options_;
  std::unique_ptr<PagedAttention> backend_;
  std::unique_ptr<KvArena> arena_;
  std::unique_ptr<TileTurns> turns_;
  std::vector<KeyBias> key_biases_;  // by layer; empty without
  std::map<int, Sequence> sequences_;
  std::vector<int32_t> free_hot_;
  std::vector<int32_t> free_sealed_;
  std::vector<bool> hot_used_;
  std::vector<bool> sealed_used_;
  std::map<std::pair<int, int64_t>, std::vector<float>> outputs_;
};

}  // namespace tq::kernels::test
