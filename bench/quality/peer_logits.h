#pragma once
// PeerLogits: next-token distributions that another engine has dumped, so that its KV types stand
// in the same table: the file that llama.cpp's `llama-perplexity --save-all-logits FILE` writes
// (its --kl-divergence-base). Read a row at a time; one thread.
//
// Little-endian: "_logits_", int32 n_ctx, n_vocab, n_chunk; int32 tokens [n_chunk][n_ctx]; then per
// chunk, for positions n_ctx / 2 .. n_ctx - 2, a row of 16-bit words: float scale, float least
// log-probability, n_vocab words w (log p = scale * w + least), padding to an even count. A model
// that wants a first token (bos) has it in place of each chunk's first, which the file does not
// show.

#include <cstdint>
#include <fstream>
#include <memory>
#include <span>
#include <string>
#include <vector>

#include "config/ids.h"
#include "config/result.h"

namespace tq::bench {

class PeerLogits {
 public:
  // Errors name the file: no such header, sizes out of range, a length that does not fit them.
  static Result<std::unique_ptr<PeerLogits>> open(const std::string& path);

  int64_t context() const noexcept { return context_; }
  int64_t vocab_size() const noexcept { return vocab_size_; }
  int64_t n_chunks() const noexcept { return n_chunks_; }
  std::vector<TokenId> chunk(int64_t index) const;  // [context]
  // Log-probabilities [vocab_size] after `position` of a chunk, context / 2 <= position < context
  // - 1.
  Result<void> read(int64_t chunk, int64_t position, std::span<float> out);

 private:
  PeerLogits() = default;

  std::string path_;
  std::ifstream file_;
  int64_t context_ = 0;
  int64_t vocab_size_ = 0;
  int64_t n_chunks_ = 0;
  std::vector<TokenId> tokens_;  // [n_chunks, context]
  std::vector<uint16_t> row_;    // as in the file
};

}  // namespace tq::bench
