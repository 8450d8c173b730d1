#pragma once
// What the CPU backend (ordinary C++) and the ISA translation units say to each other: plain
// structs of pointers and sizes, and one table of functions per ISA. No std:: here and nothing
// inline, because the ISA units are compiled with wide flags and must not leave a copy of a shared
// inline function. Every pointer is borrowed for the call. Any thread.

#include <cstddef>
#include <cstdint>

namespace tq::kernels::cpu {

inline constexpr int kTile = 32;        // tokens per tile: quant::kTileTokens
inline constexpr int kQueriesMax = 64;  // queries (rows x group) of one QueryBlock
inline constexpr int kPartTiles = 16;   // a part is so many tiles of a sequence, whatever else runs
inline constexpr int kHeadDimMax = 256;             // limits::kHeadDimMax
inline constexpr int kKeyGroup = 16;                // quant::kKeyGroup
inline constexpr int kValueGroup = 64;              // quant::kValueGroup
inline constexpr float kLevelUnit = 1.0f / 127.0f;  // quant::kLevelUnit
// quant::ScaleSearch:
inline constexpr int kStepsPerLevel = 16;
inline constexpr int kStepsMax = 6000;

// Bits of a key's scale byte that choose its codebook: quant::ScaleFormat, for groups of kKeyGroup.
// Values have one codebook.
constexpr int key_book_bits(int bits) { return bits == 3 ? 1 : bits == 2 ? 2 : 0; }
inline constexpr int kBooksMax = 4;
inline constexpr float kTinyGroup = 0x1p-18f;  // in scale_unit()s
constexpr int largest_scale(int book_bits) { return 0x7f >> book_bits; }
constexpr float scale_unit(int book_bits) {
  return book_bits == 0 ? 1.0f : book_bits == 1 ? 0x1p8f : 0x1p12f;
}

// One half (K or V) of a part: where its tile lies and how it is coded.
struct HalfView {
  int bits = 16;                   // 16, 8, 4, 3 or 2
  size_t offset = 0;               // bytes from the part's start
  size_t scale_offset = 0;         // the same in the array of scales
  size_t scale_bytes = 0;          // [n_groups][32 tokens], quant/block_layout.h
  size_t exponent_offset = 0;      // and in that of exponents
  const int8_t* levels = nullptr;  // [book][2^bits]; null for 16 and 8 bits
};

// The tiles of one sequence in one layer for one KV head: sealed ones first, then hot ones.
struct KvView {
  const std::byte* codes = nullptr;  // the head's part of the first tile in the layer
  size_t codes_stride = 0;           // bytes from part to part
  const uint8_t* scales = nullptr;
  size_t scales_stride = 0;
  const uint8_t* exponents = nullptr;
  size_t exponents_stride = 0;
  const std::byte* hot = nullptr;
  size_t hot_stride = 0;
  const int32_t* sealed_parts = nullptr;  // of each tile, by stride from those above
  const int32_t* hot_parts = nullptr;
  const int32_t* sealed_first = nullptr;  // position of each tile's slot 0
  const int32_t* hot_first = nullptr;
  int n_sealed_tiles = 0;
  int n_tiles = 0;  // sealed and hot
  HalfView sealed_k, sealed_v, hot_k, hot_v;
};

// kernels/key_bias.h for the kernels, of one KV head.
struct BiasView {
  const float* tile = nullptr;   // R_t b, [head_dim][32]; null: no bias
  const float* turns = nullptr;  // cosines and sines of positions 0, 32, ...: [n_tiles][2][n_pairs]
  int n_pairs = 0;
  bool interleaved = false;
};

// Queries of one sequence and KV head: `group` of them per row, rows at ascending positions.
struct QueryBlock {
  const float* q = nullptr;  // [n_queries, head_dim], rotated, not scaled
  int n_queries = 0;
  int group = 1;
  int head_dim = 0;
  int64_t first_position = 0;      // of row 0
  float scale_log2 = 0.0f;         // softmax scale * log2(e): scores are powers of two
  const float* q_plain = nullptr;  // as q, not rotated; for the bias only
  BiasView bias;
  // Filled by prepare(): the scaled queries as floats, and as small integers in the order of the K
  // codes, as many to a word as the ISA multiplies at once.
  float* q_float = nullptr;    // [n_queries, head_dim]
  int32_t* q_words = nullptr;  // [n_queries, q_stride]
  int32_t* q_offset =
      nullptr;              // [n_queries, kHeadDimMax / kKeyGroup]: what a group's sums start from
  float* q_unit = nullptr;  // [n_queries]: float value of one unit of q_words
  int q_stride = 0;         // padded depth of the K tile / 2; 0 where sealed keys are bf16
};

// Partial softmax state per query, in powers of two: weights are 2^(score - m), l is their sum, o
// the weighted sum of V. m = -infinity: no key seen.
struct PartState {
  float* o = nullptr;        // [n_queries, head_dim]
  float* m = nullptr;        // [n_queries]
  float* l = nullptr;        // [n_queries]
  float* l_lanes = nullptr;  // [n_queries, 16], scratch
};

// quant::Rotation for the kernels.
struct RotationView {
  int dim = 0;
  const float* signs[2] = {};      // of each round, Hadamard only
  const float* forward = nullptr;  // QR only, [dim, dim]: y = sum_i x_i forward[i]
  const float* inverse = nullptr;
};

// Tokens of one KV head that go into neighbouring slots of one hot tile.
struct AppendRun {
  const float* k = nullptr;  // first token's row, not rotated
  const float* v = nullptr;
  size_t token_stride = 0;  // floats from token to token
  int n_tokens = 0;
  int slot = 0;  // of the first, in the tile
  int head_dim = 0;
  std::byte* k_tile = nullptr;
  std::byte* v_tile = nullptr;
  const RotationView* rotation = nullptr;  // null: rows go in as they are
};

// One full hot tile to be coded: quant::RowCodec for its 32 rows.
struct SealTile {
  const std::byte* hot = nullptr;
  std::byte* sealed = nullptr;
  uint8_t* scales = nullptr;    // [n_groups][32]
  uint8_t* exponent = nullptr;  // of the tile
  bool is_key = true;
  int head_dim = 0;
  int bits = 4;                         // 2, 3, 4 or 8
  int group = 16;                       // coordinates that share a scale
  int book_bits = 0;                    // of a scale
  const int8_t* levels = nullptr;       // [book][2^bits]; as the boundaries, unused at 8 bits
  const int16_t* boundaries = nullptr;  // [book][2^bits - 1], in steps of 1/16 level
  float search_from = 0.0f;             // quant::ScaleSearch
  int search_candidates = 0;
};

struct IsaKernels {
  const char* name;
  // Fills q_float, q_words, q_offset and q_unit.
  void (*prepare)(const QueryBlock& queries, const KvView& kv);
  // Overwrites `state` with the partial softmax over tiles [tile_begin, tile_end).
  void (*attend_part)(const QueryBlock& queries,
                      const KvView& kv,
                      int tile_begin,
                      int tile_end,
                      const PartState& state);
  void (*rotate)(const RotationView& rotation, float* rows, int n_rows, bool inverse);  // in place
  void (*append)(const AppendRun& run);
  // False, with the sealed tile half written, where a row holds NaN or infinity.
  bool (*seal)(const SealTile& tile);
};

}  // namespace tq::kernels::cpu
