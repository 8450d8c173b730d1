// Where the tiles of a sequence lie, for the kernels of attention_body.h. Included once, inside an
// ISA translation unit, before it.

namespace tq::kernels::cpu::TQ_ISA_NAMESPACE {

// One tile, as the kernels below see it.
struct TileRef {
  const std::byte* k;
  const std::byte* v;
  const uint8_t* k_scales;  // [n_groups][32 tokens]; null for bf16
  const uint8_t* v_scales;
  float k_unit;  // what one level stands for, in scales as they are loaded; unused for bf16
  float v_unit;
  int64_t position;  // of slot 0; every query sees the whole of a sealed tile
};

// 2^(exponent - 127) / 127, as quant::RowCodec decodes.
inline float level_unit(uint8_t exponent) {
  const uint32_t bits = static_cast<uint32_t>(exponent) << 23;
  float power;
  __builtin_memcpy(&power, &bits, sizeof power);
  return power * kLevelUnit;
}

inline TileRef find_tile(const KvView& kv, int tile) {
  const bool sealed = tile < kv.n_sealed_tiles;
  const int index = sealed ? tile : tile - kv.n_sealed_tiles;
  const int block = index / kv.tiles_per_block;
  const auto in_block = static_cast<size_t>(index % kv.tiles_per_block);
  if (sealed) {
    const auto id = static_cast<size_t>(kv.sealed_ids[block]);
    const std::byte* const base = kv.codes + id * kv.codes_stride;
    const uint8_t* const scales = kv.scales + id * kv.scales_stride;
    const HalfView &k = kv.sealed_k, &v = kv.sealed_v;
    return {base + k.offset + in_block * k.tile_bytes,
            base + v.offset + in_block * v.tile_bytes,
            k.bits == 16 ? nullptr : scales + k.scale_offset + in_block * k.scale_bytes,
            v.bits == 16 ? nullptr : scales + v.scale_offset + in_block * v.scale_bytes,
            k.bits == 16 ? 0.0f
                         : level_unit(scales[k.exponent_offset + in_block]) *
                               scale_unit(key_book_bits(k.bits)),
            v.bits == 16 ? 0.0f : level_unit(scales[v.exponent_offset + in_block]),
            kv.sealed_first[block] + static_cast<int64_t>(in_block) * kTile};
  }
  const std::byte* const base = kv.hot + static_cast<size_t>(kv.hot_ids[block]) * kv.hot_stride;
  return {base + kv.hot_k.offset + in_block * kv.hot_k.tile_bytes,
          base + kv.hot_v.offset + in_block * kv.hot_v.tile_bytes,
          nullptr,
          nullptr,
          0.0f,
          0.0f,
          kv.hot_first[block] + static_cast<int64_t>(in_block) * kTile};
}

inline void prefetch_bytes(const void* start, size_t n_bytes) {
  const auto* const bytes = static_cast<const std::byte*>(start);
  for (size_t i = 0; i < n_bytes; i += 64) Simd::prefetch(bytes + i);
}

inline void prefetch_tile(const KvView& kv, int tile) {
  const bool sealed = tile < kv.n_sealed_tiles;
  const int index = sealed ? tile : tile - kv.n_sealed_tiles;
  const int block = index / kv.tiles_per_block;
  const auto in_block = static_cast<size_t>(index % kv.tiles_per_block);
  const HalfView& k = sealed ? kv.sealed_k : kv.hot_k;
  const HalfView& v = sealed ? kv.sealed_v : kv.hot_v;
  const auto id = static_cast<size_t>(sealed ? kv.sealed_ids[block] : kv.hot_ids[block]);
  const std::byte* const base =
      sealed ? kv.codes + id * kv.codes_stride : kv.hot + id * kv.hot_stride;
  prefetch_bytes(base + k.offset + in_block * k.tile_bytes, k.tile_bytes);
  prefetch_bytes(base + v.offset + in_block * v.tile_bytes, v.tile_bytes);
  if (!sealed) return;
  const uint8_t* const scales = kv.scales + id * kv.scales_stride;
  prefetch_bytes(scales + k.scale_offset + in_block * k.scale_bytes, k.scale_bytes);
  prefetch_bytes(scales + v.scale_offset + in_block * v.scale_bytes, v.scale_bytes);
}

}  // namespace tq::kernels::cpu::TQ_ISA_NAMESPACE
