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
  if (tile >= kv.n_sealed_tiles) {
    const int i = tile - kv.n_sealed_tiles;
    const std::byte* const part = kv.hot + static_cast<size_t>(kv.hot_parts[i]) * kv.hot_stride;
    return {part + kv.hot_k.offset, part + kv.hot_v.offset, nullptr, nullptr, nullptr, nullptr,
            kv.hot_first[i]};
  }
  const auto part = static_cast<size_t>(kv.sealed_parts[tile]);
  const std::byte* const codes = kv.codes + part * kv.codes_stride;
  const uint8_t* const scales = kv.scales + part * kv.scales_stride;
  const uint8_t* const exponents = kv.exponents + part * kv.exponents_stride;
  const HalfView& k = kv.sealed_k;
  const HalfView& v = kv.sealed_v;
  return {codes + k.offset,
          codes + v.offset,
          k.bits == 16 ? nullptr : scales + k.scale_offset,
          v.bits == 16 ? nullptr : scales + v.scale_offset,
          k.bits == 16 ? nullptr : exponents + k.exponent_offset,
          v.bits == 16 ? nullptr : exponents + v.exponent_offset,
          kv.sealed_first[tile]};
}

// The tile to be fetched while one is worked on. Two ahead where tiles are so small that one is
// done before the next has come.
inline int tile_ahead(const KvView& kv, int tile) {
  constexpr size_t kSmallBytes = 4096;  // of codes: a tile of them takes some 400 ns
  const bool small = tile < kv.n_sealed_tiles && kv.codes_stride < kSmallBytes;
  const int ahead = tile + (small ? 2 : 1);
  return ahead < kv.n_tiles ? ahead : kv.n_tiles - 1;
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

// The scales of a tile to come. Its codes are fetched by the loops of attention_body.h, a few lines
// at a time: all at once they would wait for the few that a core can ask for.
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
