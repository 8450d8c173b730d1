// Attention of one block of queries over a range of tiles: scores, online softmax, weighted sum of
// V, all in the rotated domain and without decoding a row. Written once over Simd; included once,
// inside an ISA translation unit (with -ffp-contract=off: every query's arithmetic is the same
// whatever its neighbours), after a simd_*.h, softmax_body.h, dot_body.h and tile_body.h.
//
// Simd names: F and I are vectors of kLanes floats and 32-bit integers; a `Table` holds the int8
// levels, a `Packed` the words of kLanes lanes.
//
// A query's result depends on its own coefficients, on its sequence's tiles in their order and on
// its position. Nothing else: a tile that it does not see is skipped, a token that it does not see
// has weight exactly 0.

namespace tq::kernels::cpu::TQ_ISA_NAMESPACE {

constexpr float kQueryMin = 1e-30f;  // a smaller query is zero: keeps 32767 / max|q| finite
constexpr int kKeyGroupsMax = kHeadDimMax / kKeyGroup;
constexpr int kValueGroupsMax = kHeadDimMax / kValueGroup;

// What a pass over one tile for kQ queries needs; the pointers are at the first of them.
struct Pass {
  TileRef tile;
  float k_unit;  // what one level stands for, in scales as they are loaded; unused for bf16
  float v_unit;
  const std::byte* k_ahead;  // what is prefetched meanwhile
  const std::byte* v_ahead;
  int head_dim;
  int n_visible;  // most tokens that one of the queries sees
  const float* q_float;
  const int32_t* q_words;
  const int32_t* q_offset;  // [kQ][kKeyGroupsMax]
  const float* q_unit;
  int q_stride;            // words from query to query
  float* scores;           // [kQ][32]; scores, then weights
  int32_t* weight_words;   // [n_groups of V][Simd::kQueries][weight_stride()]
  int32_t* weight_offset;  // the same, without words; written a vector at a time
  float* weight_unit;      // [kQ]: what weights count in o
  const int* visible;      // tokens that each query sees
  PartState state;
  Simd::Table k_table;
  Simd::Table v_table;
};

// Words of a tile's coefficients for one query.
constexpr int weight_stride(int bits) { return kTile / Simd::word_entries(bits); }

using PassFunction = void (*)(const Pass& pass);

// Scores of a tile of keys: lanes are tokens.
template <int kBits, int kQ>
void score_tile(const Pass& pass) {
  constexpr int kV = kQ <= 2 && kVectors >= 4 ? 4 : 2;
  const auto* const words = reinterpret_cast<const uint32_t*>(pass.tile.k);
  const std::byte* ahead = pass.k_ahead;
  for (int lane = 0; lane < kTile; lane += kV * Simd::kLanes) {
    if constexpr (kBits == 16) {
      F sum[kV][kQ];
      for (auto& row : sum)
        for (F& x : row) x = Simd::zero();
      dot_bf16<kQ, kV>(words + lane, kTile, words_between(pass.tile.k, ahead), pass.head_dim / 2,
                       pass.q_float, pass.head_dim, sum);
      for (int v = 0; v < kV; ++v)
        for (int q = 0; q < kQ; ++q)
          Simd::store(pass.scores + q * kTile + lane + v * Simd::kLanes, sum[v][q]);
    } else {
      constexpr int kUnits = kKeyGroup / entries_per_unit(kBits);  // of a group
      constexpr int kBookBits = key_book_bits(kBits);
      F score[kV][kQ];
      for (auto& row : score)
        for (F& x : row) x = Simd::zero();
      const uint8_t* scales = pass.tile.k_scales + lane;
      for (int unit = 0; unit < pass.head_dim / kKeyGroup * kUnits; unit += kUnits) {
        I sum[kV][kQ];
        const int group = unit / kUnits;
        for (auto& row : sum)
          for (int q = 0; q < kQ; ++q) {
            row[q] = start_of<kBits>(pass.q_offset[q * kKeyGroupsMax + group]);
          }
        I books[kV];
        for (int v = 0; v < kV; ++v) {
          books[v] = Simd::load_books<kBits, kBookBits>(scales + v * Simd::kLanes);
        }
        dot_codes<kBits, kBookBits, kQ, kV>(words + lane, kTile, ahead, unit, unit + kUnits,
                                            pass.q_words, pass.q_stride, pass.k_table, books, sum);
        ahead += kUnits * bytes_ahead(kBits, kV * Simd::kLanes);
        for (int v = 0; v < kV; ++v) {
          const F scale = Simd::load_scales<kBookBits>(scales + v * Simd::kLanes);
          for (int q = 0; q < kQ; ++q) {
            score[v][q] = Simd::fma(Simd::to_float(sum[v][q]), scale, score[v][q]);
          }
        }
        scales += kTile;
      }
      for (int v = 0; v < kV; ++v)
        for (int q = 0; q < kQ; ++q) {
          Simd::store(pass.scores + q * kTile + lane + v * Simd::kLanes,
                      Simd::mul(score[v][q], Simd::set1(pass.q_unit[q] * pass.k_unit)));
        }
    }
  }
  if constexpr (kBits != 16) prefetch_bytes(ahead, quarter_bytes(kBits, pass.head_dim));
}

// o += unit x sum, `o` at the first of kV vectors of dimensions.
template <int kQ, int kV>
[[gnu::always_inline]] inline void add_sums(const Pass& pass, float* o, const F (&sum)[kV][kQ]) {
  for (int v = 0; v < kV; ++v)
    for (int q = 0; q < kQ; ++q) {
      float* const at = o + q * pass.head_dim + v * Simd::kLanes;
      Simd::store(at, Simd::fma(Simd::set1(pass.weight_unit[q]), sum[v][q], Simd::load(at)));
    }
}

// o += weights . V over kV vectors of dimensions from `lane`.
template <int kBits, int kQ, int kV>
[[gnu::always_inline]] inline void sum_lanes(const Pass& pass, int lane) {
  const auto* const words = reinterpret_cast<const uint32_t*>(pass.tile.v) + lane;
  float* const o = pass.state.o + lane;
  if constexpr (kBits == 16) {
    F sum[kV][kQ];
    for (auto& row : sum)
      for (F& x : row) x = Simd::zero();
    dot_bf16<kQ, kV>(words, pass.head_dim, words_between(pass.tile.v, pass.v_ahead),
                     (pass.n_visible + 1) / 2, pass.scores, kTile, sum);
    add_sums(pass, o, sum);
  } else {
    I sum[kV][kQ];
    const int group = lane / kValueGroup * Simd::kQueries;
    for (auto& row : sum)
      for (int q = 0; q < kQ; ++q) row[q] = start_of<kBits>(pass.weight_offset[group + q]);
    const I books[kV] = {};
    const std::byte* const ahead =
        pass.v_ahead + quarter_bytes(kBits, pass.head_dim) + 3 * quarter_bytes(kBits, lane);
    dot_codes<kBits, 0, kQ, kV>(words, pass.head_dim, ahead, 0, kTile / entries_per_unit(kBits),
                                pass.weight_words + group * weight_stride(kBits),
                                weight_stride(kBits), pass.v_table, books, sum);
    F floats[kV][kQ];
    for (int v = 0; v < kV; ++v)
      for (int q = 0; q < kQ; ++q) floats[v][q] = Simd::to_float(sum[v][q]);
    add_sums(pass, o, floats);
  }
}

template <int kBits, int kQ>
void sum_tile(const Pass& pass) {
  int lane = 0;
  for (; lane + 2 * Simd::kLanes <= pass.head_dim; lane += 2 * Simd::kLanes) {
    sum_lanes<kBits, kQ, 2>(pass, lane);
  }
  if (lane < pass.head_dim) sum_lanes<kBits, kQ, 1>(pass, lane);
}

// Weights times the scales of V, at most 1, as coefficients of its codes, in steps of
// 1 / coefficient_max.
template <int kBits, int kQ>
void quantise_weights(const Pass& pass) {
  constexpr float kMost = Simd::coefficient_max(kBits);
  prefetch_bytes(pass.v_ahead, quarter_bytes(kBits, pass.head_dim));
  for (int group = 0; group * kValueGroup < pass.head_dim; ++group) {
    F scales[kVectors];
    for (int v = 0; v < kVectors; ++v) {
      const uint8_t* const bytes = pass.tile.v_scales + group * kTile + v * Simd::kLanes;
      scales[v] = Simd::mul(Simd::load_scales<0>(bytes), Simd::set1(kMost));
    }
    I integers[kQ][kVectors];
    I sums[kQ];
#pragma GCC unroll 8
    for (int q = 0; q < kQ; ++q) {
      for (int v = 0; v < kVectors; ++v) {
        const F weights = Simd::load(pass.scores + q * kTile + v * Simd::kLanes);
        integers[q][v] = Simd::to_int(Simd::mul(weights, scales[v]));
        sums[q] = v == 0 ? integers[q][v] : Simd::add_int(sums[q], integers[q][v]);
      }
    }
    const int at = group * Simd::kQueries;
    Simd::pack_words(integers, kBits, pass.weight_words + at * weight_stride(kBits));
    Simd::store_offsets(pass.weight_offset + at, sums);
  }
  const F unit = Simd::set1(pass.v_unit * (1.0f / kMost));
  Simd::store(pass.weight_unit, Simd::mul(Simd::load(pass.weight_unit), unit));
}

// Scores become weights, in the form that the sums of these values want. A tile's weights are
// relative to its largest weight x scale, or a bound of it at most 2^0.09 above: the largest of the
// score and the scale's logarithm, of the largest scale of a token's groups. So integers need no
// second search for the largest.
template <int kBits, int kQ>
void weigh_tile(const Pass& pass) {
  F sizes[kVectors];
  for (int v = 0; v < kVectors; ++v) {
    sizes[v] = Simd::zero();
    if constexpr (kBits != 16) {
      sizes[v] = Simd::log2_scales(pass.tile.v_scales + v * Simd::kLanes,
                                   (pass.head_dim + kValueGroup - 1) / kValueGroup);
    }
  }
  softmax_tile<kQ>(pass.scores, sizes, pass.visible, pass.state, pass.head_dim, pass.weight_unit);
  if constexpr (kBits != 16) quantise_weights<kBits, kQ>(pass);
}

// The functions for 1 .. Simd::kQueries queries.
struct PassTable {
  PassFunction score[Simd::kQueries + 1];
  PassFunction weigh[Simd::kQueries + 1];
  PassFunction sum[Simd::kQueries + 1];
};

template <int kBits, int kQ>
constexpr void fill_table(PassTable& table) {
  table.score[kQ] = score_tile<kBits, kQ>;
  table.weigh[kQ] = weigh_tile<kBits, kQ>;
  table.sum[kQ] = sum_tile<kBits, kQ>;
  if constexpr (kQ > 1) fill_table<kBits, kQ - 1>(table);
}

template <int kBits>
constexpr PassTable make_pass_table() {
  PassTable table{};
  fill_table<kBits, Simd::kQueries>(table);
  return table;
}

inline const PassTable& pass_table(int bits) {
  static constexpr PassTable k16 = make_pass_table<16>();
  static constexpr PassTable k8 = make_pass_table<8>();
  static constexpr PassTable k4 = make_pass_table<4>();
  static constexpr PassTable k3 = make_pass_table<3>();
  static constexpr PassTable k2 = make_pass_table<2>();
  return bits == 16 ? k16 : bits == 8 ? k8 : bits == 4 ? k4 : bits == 3 ? k3 : k2;
}

// What the sums that meet the integers of n vectors start from: see start_of().
inline int32_t offset_of(const I* integers, int n, int bits) {
  if (Simd::level_offset(bits) == 0) return 0;
  I sum = integers[0];
  for (int v = 1; v < n; ++v) sum = Simd::add_int(sum, integers[v]);
  return -Simd::level_offset(bits) * Simd::hsum_int(sum);
}

// The factor that brings floats of this largest magnitude to coefficients, and its inverse.
struct Units {
  float per_unit;
  float unit;
};
inline Units units_of(float largest, int bits) {
  const auto most = static_cast<float>(Simd::coefficient_max(bits));
  return {largest > kQueryMin ? most / largest : 0.0f, largest * (1.0f / most)};
}

inline void prepare(const QueryBlock& queries, const KvView& kv) {
  const int d = queries.head_dim;
  const int bits = kv.sealed_k.bits;
  for (int q = 0; q < queries.n_queries; ++q) {
    const float* const in = queries.q + q * d;
    float* const scaled = queries.q_float + q * d;
    F largest = Simd::zero();
    for (int j = 0; j < d; j += Simd::kLanes) {
      const F x = Simd::mul(Simd::load(in + j), Simd::set1(queries.scale_log2));
      largest = Simd::max(largest, Simd::abs(x));
      Simd::store(scaled + j, x);
    }
    if (queries.q_stride == 0 || kv.n_sealed_tiles == 0) continue;
    const Units units = units_of(Simd::hmax(largest), bits);
    queries.q_unit[q] = units.unit;
    alignas(64) int32_t integers[kHeadDimMax] = {};  // zeros behind head_dim: the padding of 3 bits
    for (int j = 0; j < d; j += Simd::kLanes) {
      Simd::store_int(integers + j,
                      Simd::to_int(Simd::mul(Simd::load(scaled + j), Simd::set1(units.per_unit))));
    }
    int32_t* const words = queries.q_words + q * queries.q_stride;
    for (int e = 0; e < d; e += kTile) {
      I part[1][kVectors];
      for (int v = 0; v < kVectors; ++v) {
        part[0][v] = Simd::load_int(integers + e + v * Simd::kLanes);
      }
      Simd::pack_words(part, bits, words + e / Simd::word_entries(bits));
      constexpr int kGroupVectors = kKeyGroup / Simd::kLanes;
      for (int v = 0; v < kVectors; v += kGroupVectors) {
        queries.q_offset[q * kKeyGroupsMax + e / kKeyGroup + v / kGroupVectors] =
            offset_of(part[0] + v, kGroupVectors, bits);
      }
    }
  }
}

inline Simd::Table table_of(const HalfView& half, int book_bits) {
  return half.levels == nullptr ? Simd::Table{Simd::zero_int()}  // 16 and 8 bits look nothing up
                                : Simd::make_table(half.levels, half.bits, book_bits);
}

// Adds <R_-f q, R_t b>, f the position of the tile, to the scores of one query.
inline void add_bias(const QueryBlock& queries, int query, int64_t position, float* scores) {
  const BiasView& bias = queries.bias;
  const float* const q = queries.q_plain + query * queries.head_dim;
  const float* const cosines = bias.turns + position / kTile * 2 * bias.n_pairs;
  const float* const sines = cosines + bias.n_pairs;
  alignas(64) float turned[kHeadDimMax];
  for (int j = 2 * bias.n_pairs; j < queries.head_dim; ++j) turned[j] = q[j];
  const int step = bias.interleaved ? 2 : 1;
  const int partner = bias.interleaved ? 1 : bias.n_pairs;
  for (int i = 0; i < bias.n_pairs; ++i) {
    const float a = q[i * step];
    const float b = q[i * step + partner];
    turned[i * step] = a * cosines[i] + b * sines[i];
    turned[i * step + partner] = b * cosines[i] - a * sines[i];
  }
  F sum[kVectors];
  for (F& x : sum) x = Simd::zero();
  for (int j = 0; j < queries.head_dim; ++j) {
    const F x = Simd::set1(turned[j]);
    for (int v = 0; v < kVectors; ++v) {
      sum[v] = Simd::fma(x, Simd::load(bias.tile + j * kTile + v * Simd::kLanes), sum[v]);
    }
  }
  for (int v = 0; v < kVectors; ++v) {
    float* const at = scores + v * Simd::kLanes;
    Simd::store(at, Simd::fma(sum[v], Simd::set1(queries.scale_log2), Simd::load(at)));
  }
}

// Up to Simd::kQueries queries from `first` over one tile.
inline void attend_tile(const QueryBlock& queries,
                        const KvView& kv,
                        const PartState& state,
                        int first,
                        bool sealed,
                        Pass& pass) {
  const int rest = queries.n_queries - first;
  const int n = rest < Simd::kQueries ? rest : Simd::kQueries;
  int visible[Simd::kQueries];
  pass.n_visible = 0;
  for (int q = 0; q < n; ++q) {
    visible[q] = kTile;
    if (!sealed) {
      const int64_t position = queries.first_position + (first + q) / queries.group;
      const int64_t count = position - pass.tile.position + 1;
      visible[q] = count < 0 ? 0 : count > kTile ? kTile : static_cast<int>(count);
    }
    if (visible[q] > pass.n_visible) pass.n_visible = visible[q];
  }
  if (pass.n_visible == 0) return;
  const int d = queries.head_dim;
  alignas(64) float scores[Simd::kQueries * kTile];
  alignas(64) int32_t weight_words[kValueGroupsMax * Simd::kQueries * kTile / 2];
  alignas(64) int32_t weight_offset[kValueGroupsMax * Simd::kQueries + Simd::kLanes];
  alignas(64) float weight_unit[Simd::kLanes];
  pass.head_dim = d;
  pass.q_float = queries.q_float + first * d;
  pass.q_words = queries.q_words + first * queries.q_stride;
  pass.q_offset = queries.q_offset + first * kKeyGroupsMax;
  pass.q_unit = queries.q_unit + first;
  pass.q_stride = queries.q_stride;
  pass.scores = scores;
  pass.weight_words = weight_words;
  pass.weight_offset = weight_offset;
  pass.weight_unit = weight_unit;
  pass.visible = visible;
  pass.state = {state.o + first * d, state.m + first, state.l + first, state.l_lanes + first * 16};

  const HalfView& k = sealed ? kv.sealed_k : kv.hot_k;
  const HalfView& v = sealed ? kv.sealed_v : kv.hot_v;
  pass_table(k.bits).score[n](pass);
  for (int q = 0; q < n && queries.bias.tile != nullptr; ++q) {
    add_bias(queries, first + q, pass.tile.position, scores + q * kTile);
  }
  const PassTable& of_values = pass_table(v.bits);
  of_values.weigh[n](pass);
  of_values.sum[n](pass);
}

inline void attend_part(const QueryBlock& queries,
                        const KvView& kv,
                        int tile_begin,
                        int tile_end,
                        const PartState& state) {
  for (int q = 0; q < queries.n_queries; ++q) {
    state.m[q] = -__builtin_inff();
    for (int i = 0; i < 16; ++i) state.l_lanes[q * 16 + i] = 0.0f;
    for (int j = 0; j < queries.head_dim; ++j) state.o[q * queries.head_dim + j] = 0.0f;
  }
  Pass pass{};
  pass.k_table = table_of(kv.sealed_k, key_book_bits(kv.sealed_k.bits));
  pass.v_table = table_of(kv.sealed_v, 0);
  for (int tile = tile_begin; tile < tile_end; ++tile) {
    const TileRef ahead = find_tile(kv, tile_ahead(kv, tile));
    prefetch_scales(ahead, kv);
    pass.tile = find_tile(kv, tile);
    pass.k_ahead = ahead.k;
    pass.v_ahead = ahead.k + (pass.tile.v - pass.tile.k);
    pass.k_unit = level_unit(pass.tile.k_exponent) * scale_unit(key_book_bits(kv.sealed_k.bits));
    pass.v_unit = level_unit(pass.tile.v_exponent);
    for (int first = 0; first < queries.n_queries; first += Simd::kQueries) {
      attend_tile(queries, kv, state, first, tile < kv.n_sealed_tiles, pass);
    }
  }
  for (int q = 0; q < queries.n_queries; ++q) {
    state.l[q] = Simd::hsum(Simd::load(state.l_lanes + q * 16));
  }
}

}  // namespace tq::kernels::cpu::TQ_ISA_NAMESPACE
