#pragma once
// DenseStore: what a store should answer, in double precision and with no tiles, blocks tables or
// backends: rows are kept as plain vectors in the rotated domain, rounded to bf16, and replaced by
// their decoded codes when sealed. The oracle of the kernel tests. One thread.

#include <map>
#include <optional>
#include <span>
#include <vector>

#include "quant/rotation.h"
#include "quant/row_codec.h"
#include "tests/kernels/world.h"

namespace tq::kernels::test {

class DenseStore {
 public:
  explicit DenseStore(const WorldOptions& options);

  void append(int seq, int n_rows);
  void seal(int seq, int block_index);
  void free_sequence(int seq) { sequences_.erase(seq); }

  // Checks the output of a row, [n_layers, n_heads, head_dim], at the time when it was the
  // sequence's newest but `n_newer`. Returns the largest error of a head's output vector over its
  // tolerance: above 1 is a failure; NaN is reported as infinity.
  double error_ratio(int seq, int64_t position, const std::vector<float>& output) const;

 private:
  struct Token {
    std::vector<float> k;  // [n_layers, n_kv_heads, head_dim], rotated
    std::vector<float> v;
  };
  std::vector<float> store_rows(Kind kind, int seq, int64_t position) const;
  // Rows of the tokens of one tile, which share an exponent per layer and KV head.
  void seal_tile(std::span<Token> tokens,
                 std::vector<float> Token::*half,
                 const quant::RowCodec& codec) const;
  // <q, R_p b> of each position up to `position`; q is not rotated.
  std::vector<double> bias_scores(const std::vector<float>& q,
                                  size_t kv_row,
                                  int64_t position) const;
  double head_ratio(const std::vector<Token>& tokens,
                    int64_t position,
                    size_t kv_row,
                    std::vector<float> q,
                    const float* output) const;

  WorldOptions options_;
  std::optional<quant::Rotation> rotation_;
  std::optional<quant::RowCodec> k_codec_;
  std::optional<quant::RowCodec> v_codec_;
  std::map<int, std::vector<Token>> sequences_;
};

}  // namespace tq::kernels::test
