// Lane-wise dot products of a tile with the coefficients of up to Simd::kQueries queries: the two
// inner loops that q.k and p.V share. Included once, inside an ISA translation unit, after a
// simd_*.h.
//
// Bound: bytes of the tile are read once per group of queries, 32 * head_dim * bits / 8 per half
// and tile of 32 tokens. Per vector of words and query: one multiply-add for each word of
// coefficients, which covers two entries on AVX2, and four below 8 bits on AVX-512 and NEON.

namespace tq::kernels::cpu::TQ_ISA_NAMESPACE {

// Entries of one lane that one load covers: a unit.
constexpr int entries_per_unit(int bits) { return bits == 8 ? 4 : bits == 4 ? 8 : 16; }
// Words of coefficients that meet them.
constexpr int words_per_unit(int bits) { return entries_per_unit(bits) / Simd::word_entries(bits); }

// What sums of levels start from: `offset` is minus Simd::level_offset() times the sum of the
// coefficients that will meet them.
template <int kBits>
inline I start_of(int32_t offset) {
  return Simd::level_offset(kBits) == 0 ? Simd::zero_int() : Simd::set1_int(offset);
}

constexpr int kLineBytes = 64;
constexpr ptrdiff_t kWordBytes = sizeof(uint32_t);

inline ptrdiff_t words_between(const std::byte* from, const std::byte* to) {
  return (to - from) / kWordBytes;
}

// Lines that hold n_bytes from `at` on.
[[gnu::always_inline]] inline void prefetch_bytes(const std::byte* at, int n_bytes) {
  for (int i = 0; i < n_bytes; i += kLineBytes) Simd::prefetch(at + i);
}

// A tile is fetched while the one before it is worked on, as evenly as can be: a core waits for few
// lines at once, and has none to wait for where nobody asks. A loop over a half's codes fetches
// three quarters of as many bytes, and the steps between the loops a quarter each.
constexpr int bytes_ahead(int bits, int lanes) { return bits == 3 ? lanes * 9 / 2 : lanes * 3; }
constexpr int quarter_bytes(int bits, int head_dim) { return kTile * head_dim * bits / 8 / 4; }

// sum[v][q] += dot of lanes [lane0 + v * kLanes, ...) with coefficients [query][word], over units
// [unit_begin, unit_end) of the depth. books[v]: of each lane, as Simd::load_books() yields them.
// bytes_ahead() bytes per unit are prefetched from `ahead` on.
// Overflow: |level| <= 127 and |coefficient| <= 32767, or < 256 and <= 127 where they are bytes,
// and the depth is <= 32, so |sum| <= 1.34e8 < 2^31.
template <int kBits, int kBookBits, int kQ, int kV>
[[gnu::always_inline]] inline void dot_codes(const uint32_t* tile,
                                             int lanes,
                                             const std::byte* ahead,
                                             int unit_begin,
                                             int unit_end,
                                             const int32_t* coefficients,
                                             int stride,
                                             const Simd::Table& table,
                                             const I (&books)[kV],
                                             I (&sum)[kV][kQ]) {
  constexpr int kWords = words_per_unit(kBits);
  constexpr int kSteps = kWords / Simd::kVectorsPerStep;
  for (int unit = unit_begin; unit < unit_end; ++unit) {
    const uint32_t* const words = kBits == 3 ? tile + unit / 2 * 3 * lanes : tile + unit * lanes;
    Simd::Packed packed[kV];
#pragma GCC unroll 4
    for (int v = 0; v < kV; ++v) {
      packed[v] =
          Simd::load_packed<kBits, kBookBits>(words + v * Simd::kLanes, lanes, unit % 2, books[v]);
    }
    constexpr int kAhead = bytes_ahead(kBits, kV * Simd::kLanes);
    prefetch_bytes(ahead + (unit - unit_begin) * kAhead, kAhead);
#pragma GCC unroll 8
    for (int step = 0; step < kSteps; ++step) {
      I levels[kV][Simd::kVectorsPerStep];
#pragma GCC unroll 4
      for (int v = 0; v < kV; ++v) {
        Simd::unpack<kBits, kBookBits>(packed[v], step, table, levels[v]);
      }
#pragma GCC unroll 2
      for (int k = 0; k < Simd::kVectorsPerStep; ++k) {
        const int32_t* const column = coefficients + unit * kWords + step + k * kSteps;
#pragma GCC unroll 8
        for (int q = 0; q < kQ; ++q) {
          const I coefficient = Simd::set1_int(column[q * stride]);
#pragma GCC unroll 4
          for (int v = 0; v < kV; ++v) {
            sum[v][q] = Simd::dot<kBits>(sum[v][q], levels[v][k], coefficient);
          }
        }
      }
    }
  }
}

// The same for bf16 entries and float coefficients [query][entry]; n_words words of two entries per
// lane. The words `ahead` of those read are prefetched: the same place in the next tile.
template <int kQ, int kV>
[[gnu::always_inline]] inline void dot_bf16(const uint32_t* tile,
                                            int lanes,
                                            ptrdiff_t ahead,
                                            int n_words,
                                            const float* coefficients,
                                            int stride,
                                            F (&sum)[kV][kQ]) {
  for (int word = 0; word < n_words; ++word) {
    F low[kV], high[kV];
#pragma GCC unroll 4
    for (int v = 0; v < kV; ++v) {
      const uint32_t* const at = tile + word * lanes + v * Simd::kLanes;
      const I both = Simd::load_int(at);
      if (v * Simd::kLanes * kWordBytes % kLineBytes == 0) Simd::prefetch(at + ahead);
      low[v] = Simd::bf16_low(both);
      high[v] = Simd::bf16_high(both);
    }
#pragma GCC unroll 8
    for (int q = 0; q < kQ; ++q) {
      const F first = Simd::set1(coefficients[q * stride + 2 * word]);
      const F second = Simd::set1(coefficients[q * stride + 2 * word + 1]);
#pragma GCC unroll 4
      for (int v = 0; v < kV; ++v) {
        sum[v][q] = Simd::fma(low[v], first, sum[v][q]);
        sum[v][q] = Simd::fma(high[v], second, sum[v][q]);
      }
    }
  }
}

}  // namespace tq::kernels::cpu::TQ_ISA_NAMESPACE
