#pragma once
// Trellis: trellis-coded quantisation of Gaussian rows (Marcellin and Fischer 1990) on Ungerboeck's
// amplitude codes. A row's codes are two planes: one path bit per value, and bits - 1 bits that
// pick a level of the subset which the path allows. The subset of value j depends on path bits
// j - 8 .. j alone, so that rows decode in any order. Paths start in state 0, which is not stored.
// Immutable; any thread.

#include <cstdint>
#include <span>
#include <vector>

namespace tq::bench {

class Trellis {
 public:
  static constexpr int kStates = 256;
  static constexpr int kSubsets = 4;

  // levels: 2^(bits + 1), ascending, for rows of variance 1. Level k belongs to subset k % 4.
  explicit Trellis(std::span<const float> levels);

  std::span<const float> levels() const noexcept { return levels_; }
  // Indices of the levels on the path of least squared error (Viterbi).
  void encode(std::span<const float> row, std::span<uint8_t> chosen) const;

 private:
  std::vector<float> levels_;
};

struct TrellisFit {
  int bits = 4;
  int n_rows = 512;  // of 128 N(0, 1) values
  int n_rounds = 30;
  uint64_t seed = 0;
};

// Lloyd's iteration with the Viterbi search as its nearest-neighbour step; symmetric about 0.
std::vector<float> fit_trellis_levels(const TrellisFit& fit);

// What fit_trellis_levels found, as multiples of 1/127 of the largest level. bits 2..4.
std::vector<float> trellis_levels(int bits);

}  // namespace tq::bench
