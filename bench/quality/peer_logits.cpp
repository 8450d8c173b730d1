#include "bench/quality/peer_logits.h"

#include <array>
#include <cmath>
#include <cstring>
#include <filesystem>
#include <string_view>
#include <system_error>
#include <utility>

#include "config/check.h"

namespace tq::bench {
namespace {

constexpr std::string_view kMagic = "_logits_";
constexpr int64_t kHeaderBytes = 8 + 3 * 4;
constexpr int64_t kHeadWords = 4;  // scale and least log-probability
constexpr int32_t kContextMax = 1 << 20;
constexpr int32_t kVocabMax = 1 << 22;
constexpr int32_t kChunksMax = 1 << 20;

Error bad(const std::string& path, const std::string& what) {
  return {Code::kCorrupt, "'" + path + "' " + what, "--peer"};
}

int64_t row_words(int64_t vocab_size) { return kHeadWords + (vocab_size + 1) / 2 * 2; }

}  // namespace

Result<std::unique_ptr<PeerLogits>> PeerLogits::open(const std::string& path) {
  std::unique_ptr<PeerLogits> peer(new PeerLogits);
  peer->path_ = path;
  peer->file_.open(path, std::ios::binary);
  if (!peer->file_) return Error{Code::kNotFound, "cannot open '" + path + "'", "--peer"};
  std::array<char, 8> magic{};
  std::array<int32_t, 3> sizes{};
  peer->file_.read(magic.data(), magic.size());
  peer->file_.read(reinterpret_cast<char*>(sizes.data()), sizeof sizes);
  if (!peer->file_ || std::string_view(magic.data(), magic.size()) != kMagic) {
    return bad(path, "is no file of llama-perplexity --save-all-logits");
  }
  const auto [context, vocab_size, n_chunks] = sizes;
  if (context < 4 || context > kContextMax || vocab_size < 2 || vocab_size > kVocabMax ||
      n_chunks < 1 || n_chunks > kChunksMax) {
    return bad(path, "claims a context of " + std::to_string(context) + ", a vocabulary of " +
                         std::to_string(vocab_size) + ", " + std::to_string(n_chunks) + " chunks");
  }
  peer->context_ = context;
  peer->vocab_size_ = vocab_size;
  peer->n_chunks_ = n_chunks;
  const int64_t n_tokens = peer->n_chunks_ * peer->context_;
  const int64_t n_rows = peer->n_chunks_ * (peer->context_ - 1 - peer->context_ / 2);
  const int64_t wanted = kHeaderBytes + 4 * n_tokens + 2 * n_rows * row_words(vocab_size);
  std::error_code ec;
  const auto size = static_cast<int64_t>(std::filesystem::file_size(path, ec));
  if (ec || size != wanted) {
    return bad(
        path, "has " + std::to_string(size) + " bytes, its header wants " + std::to_string(wanted));
  }
  peer->tokens_.resize(static_cast<size_t>(n_tokens));
  peer->file_.read(reinterpret_cast<char*>(peer->tokens_.data()), 4 * n_tokens);
  if (!peer->file_) return bad(path, "cannot be read");
  for (const TokenId token : peer->tokens_) {
    if (token < 0 || token >= vocab_size) return bad(path, "holds token " + std::to_string(token));
  }
  return peer;
}

std::vector<TokenId> PeerLogits::chunk(int64_t index) const {
  TQ_CHECK(index >= 0 && index < n_chunks_, "chunk of a peer", index);
  const auto first = tokens_.begin() + index * context_;
  return {first, first + context_};
}

Result<void> PeerLogits::read(int64_t chunk, int64_t position, std::span<float> out) {
  const int64_t first = context_ / 2;
  TQ_CHECK(chunk >= 0 && chunk < n_chunks_ && position >= first && position < context_ - 1 &&
               static_cast<int64_t>(out.size()) == vocab_size_,
           "row of a peer", chunk, position);
  const int64_t row = chunk * (context_ - 1 - first) + position - first;
  row_.resize(static_cast<size_t>(row_words(vocab_size_)));
  file_.seekg(kHeaderBytes + 4 * n_chunks_ * context_ + 2 * row * row_words(vocab_size_));
  file_.read(reinterpret_cast<char*>(row_.data()),
             static_cast<std::streamsize>(row_.size() * sizeof(uint16_t)));
  if (!file_) return bad(path_, "cannot be read");
  std::array<float, 2> head{};
  std::memcpy(head.data(), row_.data(), sizeof head);
  const auto [scale, least] = head;
  if (!std::isfinite(scale) || !std::isfinite(least)) return bad(path_, "holds NaN or infinity");
  for (size_t i = 0; i < out.size(); ++i) {
    out[i] = scale * static_cast<float>(row_[kHeadWords + i]) + least;
  }
  return {};
}

}  // namespace tq::bench
