// Where the tiles of a sequence lie, for the kernels of attention_body.h. Included once, inside an
// ISA translation unit, before it.

namespace tq::kernels::cpu::TQ_ISA_NAMESPACE {

// One tile, as the kernels below see it: addresses only, nothing of the store is read.
struct TileRef {
  const std::byte* k;
  const std::byte* v;
  const uint8_t* k_scales;  // [n_groups][32 tokens]; null for bf16
  const uint8_t* v_scales;
  const uint8_t* k_exponent;  // null for bf16
  const uint8_t* v_exponent;
  int64_t position;  // of slot 0; every query sees the whole of a sealed tile
};

inline TileRef find_tile(const KvView& kv, int tile) {
  const bool sealed = tile < kv.n_sealed_tiles;
  const int index = sealed ? tile : tile - kv.n_sealed_tiles;
  const int block = index / kv.tiles_per_block;
  const auto in_block = static_cast<size_t>(index % kv.tiles_per_block);
  const HalfView& k = sealed ? kv.sealed_k : kv.hot_k;
  const HalfView& v = sealed ? kv.sealed_v : kv.hot_v;
  const auto part = static_cast<size_t>(sealed ? kv.sealed_parts[block] : kv.hot_parts[block]);
  const std::byte* const base =
      sealed ? kv.codes + part * kv.codes_stride : kv.hot + part * kv.hot_stride;
  const uint8_t* const scales = sealed ? kv.scales + part * kv.scales_stride : nullptr;
  const uint8_t* const exponents =
      sealed ? kv.exponents + part * kv.exponents_stride : nullptr;
  const int32_t* const first = sealed ? kv.sealed_first : kv.hot_first;
  return {base + k.offset + in_block * k.tile_bytes,
          base + v.offset + in_block * v.tile_bytes,
          k.bits == 16 ? nullptr : scales + k.scale_offset + in_block * k.scale_bytes,
          v.bits == 16 ? nullptr : scales + v.scale_offset + in_block * v.scale_bytes,
          k.bits == 16 ? nullptr : exponents + k.exponent_offset + in_block,
          v.bits == 16 ? nullptr : exponents + v.exponent_offset + in_block,
          first[block] + static_cast<int64_t>(in_block) * kTile};
}

// What one level stands for in a tile: 2^(exponent - 127) / 127, as quant::RowCodec decodes. Unused
// for bf16.
inline float level_unit(const uint8_t* exponent) {
  if (exponent == nullptr) return 0.0f;
  const uint32_t bits = static_cast<uint32_t>(*exponent) << 23;
  float power;
  __builtin_memcpy(&power, &bits, sizeof power);
  return power * kLevelUnit;
}

// The scales of a tile to come. Its codes are fetched by the loops that read the codes of the tile
// before it, line for line: all at once they would wait for the few lines a core can ask for.
[[gnu::always_inline]] inline void prefetch_scales(const TileRef& tile, const KvView& kv) {
  if (tile.k_scales != nullptr) {
    for (size_t i = 0; i < kv.sealed_k.scale_bytes; i += 64) Simd::prefetch(tile.k_scales + i);
    Simd::prefetch(tile.k_exponent);
  }
  if (tile.v_scales != nullptr) {
    for (size_t i = 0; i < kv.sealed_v.scale_bytes; i += 64) Simd::prefetch(tile.v_scales + i);
    Simd::prefetch(tile.v_exponent);
  }
}

}  // namespace tq::kernels::cpu::TQ_ISA_NAMESPACE
