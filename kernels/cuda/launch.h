#pragma once
// What the CUDA backend (ordinary C++) and its kernels say to each other: plain structs of device
// pointers and sizes, and one function per kernel that puts it on a stream. No CUDA header is
// needed here, so that the same kernels run in tests on the CPU. Pointers are borrowed until the
// stream has passed the kernel. Engine thread only.

#include <cstddef>
#include <cstdint>

#include "config/result.h"
#include "kernels/device_layers.h"

struct CUstream_st;

namespace tq::kernels::cuda {

using Stream = CUstream_st*;  // cudaStream_t

inline constexpr int kTile = 32;         // tokens per tile: quant::kTileTokens
inline constexpr int kKeyGroup = 16;     // quant::kKeyGroup
inline constexpr int kValueGroup = 64;   // quant::kValueGroup
inline constexpr int kHeadDimMax = 256;  // limits::kHeadDimMax
inline constexpr int kLevelsMax = 16;    // quant::kLevelsMax
inline constexpr int kBooksMax = 4;
inline constexpr int kGroupHeadsMax = 16;  // query heads per KV head

// One half (K or V) of a part (quant/block_layout.h): where its tile lies and how it is coded.
struct HalfView {
  int32_t bits = 16;      // 16, 8, 4, 3 or 2
  int32_t book_bits = 0;  // of a scale byte: quant::ScaleFormat
  uint32_t offset = 0;    // bytes from the part's start
  uint32_t tile_bytes = 0;
  uint32_t scale_offset = 0;     // the same in the array of scales; none at 16 bits
  uint32_t exponent_offset = 0;  // and in that of exponents, a byte per tile
  // [book][2^bits] levels, four to a word; at 4 bits the two tables of attend_codes.cuh. Unused at
  // 16 and 8 bits.
  uint32_t tables[kLevelsMax / 4] = {};
};

// Both pools in one layer. A part lies at its index times the stride; that of KV head h is
// h * kHeadParts parts behind that of head 0.
inline constexpr int kHeadParts = 16;  // quant::kSlabTiles
struct StoreView {
  std::byte* hot = nullptr;
  std::byte* codes = nullptr;
  uint8_t* scales = nullptr;
  uint8_t* exponents = nullptr;
  size_t hot_stride = 0;
  size_t codes_stride = 0;
  size_t scales_stride = 0;
  size_t exponents_stride = 0;
  int32_t n_kv_heads = 0;
  int32_t head_dim = 0;
  HalfView hot_k, hot_v, sealed_k, sealed_v;
};

// quant::Rotation. No signs and no matrix: rows are not rotated.
struct RotationView {
  const float* signs = nullptr;    // Hadamard: [2 rounds][head_dim]
  const float* forward = nullptr;  // QR: [head_dim, head_dim], y = sum_i x_i forward[i]
  const float* inverse = nullptr;
};

// Where a row of the step goes.
struct TokenSlot {
  int32_t part = 0;         // hot, of KV head 0
  int32_t slot = 0;         // of its tile
  int32_t clears_next = 0;  // 1: the next slot shares its words and is not written in this step
};

// kernels/tile_table.h on the device, and where each row is written. Made once per step.
struct StepView {
  int32_t n_tokens = 0;
  int32_t n_seqs = 0;
  const int32_t* token_indptr = nullptr;
  const int32_t* first_position = nullptr;
  const int32_t* hot_indptr = nullptr;  // as all below, of tiles
  const int32_t* hot_parts = nullptr;
  const int32_t* hot_first = nullptr;  // position of each tile's slot 0
  const int32_t* sealed_indptr = nullptr;
  const int32_t* sealed_parts = nullptr;
  const int32_t* sealed_first = nullptr;
  const TokenSlot* slots = nullptr;  // [n_tokens]
};

// rows [n_rows, head_dim] -> out, which may be rows.
struct RotateParams {
  RotationView rotation;
  const float* rows = nullptr;
  float* out = nullptr;
  int32_t n_rows = 0;
  int32_t head_dim = 0;
  bool inverse = false;
};
Result<void> launch_rotate(const RotateParams& params, Stream stream);

struct AppendParams {
  StoreView store;
  RotationView rotation;
  StepView step;
  const float* k = nullptr;  // [n_tokens, n_kv_heads, head_dim], not rotated
  const float* v = nullptr;
};
Result<void> launch_append(const AppendParams& params, Stream stream);

// quant::RowCodec of one half, for sealing. A cell is 128 steps of 1/16 level and holds at most one
// boundary (quant/row_codec.cpp): steps above it have the code of the cell + 1.
struct CodecView {
  static constexpr int kCells = 32;
  static constexpr int kCellSteps = 128;
  const uint32_t* cells = nullptr;  // [book][kCells]: boundary, upper level, lower level: 16, 8, 8
  const uint8_t* codes = nullptr;   // [book][kCells], below the boundary; both null at 8 bits
  float search_from = 0.0f;         // quant::ScaleSearch
  int32_t n_candidates = 0;
};

// Codes one hot block into a sealed one, in all layers.
struct SealParams {
  StoreView store;  // of layer 0
  size_t hot_layer_stride = 0;
  size_t codes_layer_stride = 0;
  size_t scales_layer_stride = 0;
  size_t exponents_layer_stride = 0;
  int32_t n_layers = 0;
  int32_t n_tiles = 0;  // of a block
  int32_t hot = 0;      // the block's first tile among those of its pool
  int32_t sealed = 0;
  CodecView k, v;
  int32_t* bad = nullptr;  // set to 1 where a row holds NaN or infinity; else left as it is; pinned
};
Result<void> launch_seal(const SealParams& params, Stream stream);

// Queries of one sequence and KV head, numbered row by row of the step, `group` heads to a row:
// [query, query + n_queries), at most kAttendQueries.
inline constexpr int kAttendQueries = 8;
struct QueryBlock {
  int32_t seq = 0;
  int32_t kv_head = 0;
  int32_t query = 0;
  int32_t n_queries = 0;
  int32_t first_state = 0;  // their keys are cut into n_parts parts, each with a partial state
  int32_t n_parts = 0;
};

// One part: tiles [first_tile, end_tile) of the sequence's sealed, then hot ones.
struct AttendItem {
  QueryBlock block;
  int32_t first_tile = 0;
  int32_t end_tile = 0;
  int32_t state = 0;
};

// For many queries of a sequence, an item has up to this many, and states for each kAttendQueries
// of them: `state` is the part's of the first, those of the next are n_parts further on.
inline constexpr int kAttendRowQueries = 64;

// What attend() needs beside q and out. States are [kAttendQueries][head_dim] sums, then the
// references and totals of as many softmaxes.
constexpr size_t attend_state_floats(int head_dim) {
  return static_cast<size_t>(kAttendQueries) * static_cast<size_t>(head_dim + 2);
}

// kernels/key_bias.h in one layer. No tiles: none.
struct KeyBiasView {
  const float* tiles = nullptr;  // [n_kv_heads, head_dim, 32], of tokens 0 to 31
  const float* turns = nullptr;  // [tile, 2, n_pairs]: cosines, then sines, of a tile's position
  int32_t n_pairs = 0;
  bool interleaved = false;
};

struct AttendParams {
  StoreView store;
  RotationView rotation;
  StepView step;
  const AttendItem* items = nullptr;  // those of at most kAttendQueries / 2 queries come first
  int32_t n_items = 0;
  int32_t n_small_items = 0;
  const AttendItem* row_items = nullptr;  // of up to kAttendRowQueries queries
  int32_t n_row_items = 0;
  const QueryBlock* blocks = nullptr;  // of all items, kAttendQueries at most
  int32_t n_blocks = 0;
  int32_t n_heads = 0;
  float scale_log2 = 0.0f;   // softmax scale * log2(e): scores are powers of two
  const float* q = nullptr;  // [n_tokens, n_heads, head_dim], rotated
  KeyBiasView bias;
  const float* plain_q = nullptr;  // with a bias: the same, not rotated
  ElementType out_type = ElementType::kF32;
  void* out = nullptr;      // the same shape, not rotated
  float* states = nullptr;  // [n_states, attend_state_floats(head_dim)]
};
// Attends to the parts, then folds them. Formats and head_dim are the store's.
Result<void> launch_attend(const AttendParams& params, Stream stream);

}  // namespace tq::kernels::cuda
