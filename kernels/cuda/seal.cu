// A hot block's rows to codes, in all layers. One CTA per tile of a KV head and layer; a warp takes
// one group of coordinates of the tile's 32 tokens. Compiled without contraction.
#include <bit>

#include "kernels/cuda/dispatch.cuh"
#include "kernels/cuda/launch.h"
#include "kernels/cuda/seal_search.cuh"
#include "quant/block_layout.h"

namespace tq::kernels::cuda {
namespace {

constexpr int kKeyWarpsMax = kHeadDimMax / kKeyGroup;
constexpr int kValueWarpsMax = kHeadDimMax / kValueGroup;
constexpr int kWarpsMax = kKeyWarpsMax + kValueWarpsMax;
constexpr int kStageStride = kTile + 4;  // so that a column of it meets different banks

// Groups of a half, a warp each; a bf16 tile is copied by one.
__host__ __device__ int n_warps(const HalfView& half, int head_dim, int group) {
  return half.bits == 16 ? 1 : (head_dim + group - 1) / group;
}

// One half of one tile.
struct Tile {
  const std::byte* hot;
  std::byte* sealed;
  uint8_t* scales;
  uint8_t* exponent;
};

// The block's own, computed anew by whatever needs it.
__device__ Tile own_tile(const SealParams& params, bool is_key) {
  const StoreView& store = params.store;
  const int position = forgotten(static_cast<int>(blockIdx.x));
  const int head = position / params.n_tiles, tile = position % params.n_tiles;
  const int layer = static_cast<int>(blockIdx.y);
  const HalfView& from = is_key ? store.hot_k : store.hot_v;
  const HalfView& to = is_key ? store.sealed_k : store.sealed_v;
  const auto part = [&](int block) {
    return static_cast<size_t>(quant::first_part(block + tile, store.n_kv_heads) +
                               head * kHeadParts);
  };
  const size_t hot = part(params.hot);
  const size_t sealed = part(params.sealed);
  return {store.hot + layer * params.hot_layer_stride + hot * store.hot_stride + from.offset,
          store.codes + layer * params.codes_layer_stride + sealed * store.codes_stride + to.offset,
          store.scales + layer * params.scales_layer_stride + sealed * store.scales_stride +
              to.scale_offset,
          store.exponents + layer * params.exponents_layer_stride +
              sealed * store.exponents_stride + to.exponent_offset};
}

__device__ float bf16_value(uint32_t bits) { return std::bit_cast<float>(bits << 16); }

// Reads the group's rows, and gives the bits of its largest magnitude: as integers, those of NaN
// and infinity are above all others.
template <class Group>
__device__ uint32_t load_keys(Group& group, const Tile& tile, int index, int lane) {
  const auto* const words =
      reinterpret_cast<const uint32_t*>(tile.hot) + index * kKeyGroup / 2 * kTile;
  uint32_t largest = 0;
#pragma unroll
  for (int i = 0; i < kKeyGroup / 2; ++i) {
    const uint32_t word = words[i * kTile + lane];
    group.x[2 * i] = bf16_value(word & 0xffffu);
    group.x[2 * i + 1] = bf16_value(word >> 16);
    largest = max(largest, max(word << 16 & 0x7fff0000u, word & 0x7fff0000u));
  }
  return largest;
}

template <class Group>
__device__ uint32_t load_values(Group& group, const Tile& tile, int index, int lane, int head_dim) {
  const auto* const halves = reinterpret_cast<const uint16_t*>(tile.hot) +
                             (lane / 2 * head_dim + index * kValueGroup) * 2 + lane % 2;
  group.n = min(kValueGroup, head_dim - index * kValueGroup);
  uint32_t largest = 0;
#pragma unroll
  for (int j = 0; j < kValueGroup; ++j) {
    const uint32_t bits = j < group.n ? halves[2 * j] : 0u;
    group.x[j] = bf16_value(bits);
    largest = max(largest, bits << 16 & 0x7fff0000u);
  }
  return largest;
}

__device__ uint32_t warp_max(uint32_t value) {
#pragma unroll
  for (int distance = 1; distance < 32; distance *= 2) {
    value = max(value, __shfl_xor_sync(0xffffffffu, value, distance));
  }
  return value;
}

// Codes of a key lie in its lane's words, kKeyGroup of them from the group's first.
template <int kBits, class Group>
__device__ void write_keys(const Group& group,
                           const GroupCodec& codec,
                           uint8_t scale,
                           const Tile& tile,
                           int index,
                           int head_dim,
                           int lane) {
  auto* const words = reinterpret_cast<uint32_t*>(tile.sealed);
  if constexpr (kBits == 3) {  // 32 coordinates: a word of high bits, then two of low bits
    uint32_t high = 0, low = 0;
    group.encode(scale, codec, [&](int j, uint32_t code) {
      high |= code >> 2 << j;
      low |= (code & 3u) << (2 * j);
    });
    uint32_t* const at = words + index / 2 * 3 * kTile + lane;
    reinterpret_cast<uint16_t*>(at)[index % 2] = static_cast<uint16_t>(high);
    at[(1 + index % 2) * kTile] = low;
    if (index % 2 == 0 && (index + 1) * kKeyGroup == head_dim) {  // the layout's padding
      reinterpret_cast<uint16_t*>(at)[1] = 0;
      at[2 * kTile] = 0;
    }
  } else {
    constexpr int kPerWord = 32 / kBits;
    constexpr int kWords = kKeyGroup / kPerWord;
    uint32_t packed[kWords] = {};
    group.encode(scale, codec, [&](int j, uint32_t code) {
      packed[j / kPerWord] |= code << (j % kPerWord * kBits);
    });
#pragma unroll
    for (int w = 0; w < kWords; ++w) words[(index * kWords + w) * kTile + lane] = packed[w];
  }
}

// Codes of values lie with those of the other tokens: they go through shared memory, and a lane
// then writes the words of whole coordinates.
template <int kBits, class Group>
__device__ void write_values(const Group& group,
                             const GroupCodec& codec,
                             uint8_t scale,
                             const Tile& tile,
                             int index,
                             int head_dim,
                             int lane,
                             uint8_t* stage) {
  group.encode(scale, codec, [&](int j, uint32_t code) {
    stage[j * kStageStride + lane] = static_cast<uint8_t>(code);
  });
  __syncwarp();
  auto* const words = reinterpret_cast<uint32_t*>(tile.sealed) + index * kValueGroup;
  constexpr int kLowBits = kBits == 3 ? 2 : kBits;
  constexpr int kPerWord = 32 / kLowBits;
  constexpr int kHighWords = kBits == 3 ? 1 : 0;
  for (int j = lane; j < group.n; j += 32) {
    const uint8_t* const codes = stage + j * kStageStride;
    uint32_t high = 0;
#pragma unroll
    for (int w = 0; w < kTile / kPerWord; ++w) {
      uint32_t low = 0;
#pragma unroll
      for (int i = 0; i < kPerWord; ++i) {
        const uint32_t code = codes[w * kPerWord + i];
        low |= (code & ((1u << kLowBits) - 1u)) << (i * kLowBits);
        if (kBits == 3) high |= code >> 2 << (w * kPerWord + i);
      }
      words[(kHighWords + w) * head_dim + j] = low;
    }
    if (kBits == 3) words[j] = high;
  }
}

// What the warps of a CTA share.
struct Shared {
  uint32_t cells[kBooksMax + 1][CodecView::kCells];  // of keys' books, then of values'
  uint8_t codes[kBooksMax + 1][CodecView::kCells];
  uint32_t largest[kWarpsMax];
  uint8_t stage[kValueWarpsMax][kValueGroup * kStageStride];
};

__device__ void load_tables(const CodecView& codec, int n_books, int first_book, Shared& shared) {
  if (codec.cells == nullptr) return;
  for (auto i = static_cast<int>(threadIdx.x); i < n_books * CodecView::kCells;
       i += static_cast<int>(blockDim.x)) {
    (&shared.cells[first_book][0])[i] = codec.cells[i];
    (&shared.codes[first_book][0])[i] = codec.codes[i];
  }
}

// The largest magnitude of a half's warps. All threads of the CTA take part.
__device__ uint32_t share_largest(uint32_t own, int warp, int first, int end, Shared& shared) {
  own = warp_max(own);
  if (threadIdx.x % 32 == 0) shared.largest[warp] = own;
  __syncthreads();
  uint32_t largest = 0;
  for (int w = first; w < end; ++w) largest = max(largest, shared.largest[w]);
  return largest;
}

// quant::shared_exponent().
__device__ uint32_t shared_exponent(uint32_t largest) {
  constexpr uint32_t kLeast = 27u << 23;  // 2^-100
  return largest < kLeast ? 0u : min((largest >> 23) + 1u, 253u);
}

template <int kBits, int kBooks, bool kIsKey>
__device__ void seal_group(
    const SealParams& params, int warp, int lane, int n_key_warps, int n_warps, Shared& shared) {
  Group<kBits, kBooks, kIsKey ? kKeyGroup : kValueGroup> group;
  const int head_dim = params.store.head_dim;
  const int index = kIsKey ? warp : warp - n_key_warps;
  const Tile from = own_tile(params, kIsKey);
  uint32_t largest;
  if constexpr (kIsKey) {
    largest = load_keys(group, from, index, lane);
  } else {
    largest = load_values(group, from, index, lane, head_dim);
  }
  largest = share_largest(largest, warp, kIsKey ? 0 : n_key_warps, kIsKey ? n_key_warps : n_warps,
                          shared);
  if (largest >= 0x7f800000u) {
    *params.bad = 1;
    return;
  }
  const uint32_t exponent = shared_exponent(largest);
  if (index == 0 && lane == 0) *from.exponent = static_cast<uint8_t>(exponent);
  const float inverse = exponent == 0 ? 0.0f : std::bit_cast<float>((254u - exponent) << 23);
#pragma unroll
  for (float& value : group.x) value *= inverse;

  const CodecView& view = kIsKey ? params.k : params.v;
  const int first_book = kIsKey ? 0 : kBooksMax;
  const GroupCodec codec{shared.cells[first_book], shared.codes[first_book], view.search_from,
                         view.n_candidates};
  const uint8_t scale = group.search(codec);
  const Tile to = own_tile(params, kIsKey);  // did not fit into registers beside the search
  to.scales[index * kTile + lane] = scale;
  if constexpr (kIsKey) {
    write_keys<kBits>(group, codec, scale, to, index, head_dim, lane);
  } else {
    write_values<kBits>(group, codec, scale, to, index, head_dim, lane, shared.stage[index]);
  }
}

__device__ void copy_tile(const Tile& tile, uint32_t n_bytes, int lane) {
  const auto* const from = reinterpret_cast<const uint4*>(tile.hot);
  auto* const to = reinterpret_cast<uint4*>(tile.sealed);
  for (uint32_t i = static_cast<uint32_t>(lane); i < n_bytes / sizeof(uint4); i += 32)
    to[i] = from[i];
}

__global__ void __launch_bounds__(32 * kWarpsMax) seal_kernel(SealParams params) {
  __shared__ Shared shared;
  const StoreView& store = params.store;
  const int lane = static_cast<int>(threadIdx.x) % 32;
  const int warp = static_cast<int>(threadIdx.x) / 32;
  const int n_key_warps = n_warps(store.sealed_k, store.head_dim, kKeyGroup);
  const int n_all = n_key_warps + n_warps(store.sealed_v, store.head_dim, kValueGroup);
  load_tables(params.k, 1 << store.sealed_k.book_bits, 0, shared);
  load_tables(params.v, 1, kBooksMax, shared);
  const bool is_key = warp < n_key_warps;
  const int bits = is_key ? store.sealed_k.bits : store.sealed_v.bits;
  const auto seal = [&]<int kBits, int kBooks, bool kIsKey>() {
    seal_group<kBits, kBooks, kIsKey>(params, warp, lane, n_key_warps, n_all, shared);
  };
  switch (is_key ? bits : -bits) {
    case 8: return seal.template operator()<8, 1, true>();
    case 4: return seal.template operator()<4, 1, true>();
    case 3: return seal.template operator()<3, 2, true>();
    case 2: return seal.template operator()<2, 4, true>();
    case -8: return seal.template operator()<8, 1, false>();
    case -4: return seal.template operator()<4, 1, false>();
    case -3: return seal.template operator()<3, 1, false>();
    case -2: return seal.template operator()<2, 1, false>();
    default:
      share_largest(0, warp, 0, 0, shared);
      copy_tile(own_tile(params, is_key),
                is_key ? store.sealed_k.tile_bytes : store.sealed_v.tile_bytes, lane);
  }
}

}  // namespace

Result<void> launch_seal(const SealParams& params, Stream stream) {
  const StoreView& store = params.store;
  const int n_all = n_warps(store.sealed_k, store.head_dim, kKeyGroup) +
                    n_warps(store.sealed_v, store.head_dim, kValueGroup);
  const auto n_tiles = static_cast<unsigned>(store.n_kv_heads * params.n_tiles);
  const Grid grid{.blocks = {n_tiles, static_cast<unsigned>(params.n_layers)},
                  .threads = static_cast<unsigned>(32 * n_all)};
  return run_kernel(seal_kernel, grid, stream, params);
}

}  // namespace tq::kernels::cuda
