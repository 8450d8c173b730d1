#include "kernels/cpu/scalar.h"

#include <algorithm>
#include <cmath>
#include <limits>
#include <utility>
#include <vector>

#include "kernels/backend_list.h"
#include "kernels/batch_check.h"
#include "kernels/batch_tiles.h"
#include "kernels/cpu/host_memory.h"
#include "kernels/cpu/store_codec.h"
#include "quant/float16.h"

namespace tq::kernels::cpu {
namespace {

using quant::kTileTokens;
using quant::TileShape;

class ScalarPlan final : public AttnPlan {
 public:
  const PagedBatch& batch() const noexcept override { return value; }
  PagedBatch value;
};

// One visible token of one KV head, decoded, still rotated.
struct Token {
  std::vector<float> k;
  std::vector<float> v;
  int64_t position = 0;
};

// The scales of one token, gathered from those of its tile, [n_groups][32].
std::vector<uint8_t> row_scales(const quant::RowCodec& codec, const uint8_t* tile, int token) {
  std::vector<uint8_t> scales(static_cast<size_t>(codec.shape().n_groups()));
  for (size_t g = 0; g < scales.size(); ++g)
    scales[g] = tile[g * kTileTokens + static_cast<size_t>(token)];
  return scales;
}

// <q, R_p b> of a query that is not rotated.
double bias_score(const KeyBias& bias, int kv_head, std::vector<float> q, int64_t position) {
  const auto slot = static_cast<size_t>(position % kTileTokens);
  turn_back(q, bias.turns().pairs(), bias.turns().at(position - position % kTileTokens));
  const std::span<const float> tile = bias.tile(kv_head);
  double sum = 0.0;
  for (size_t j = 0; j < q.size(); ++j) {
    sum += static_cast<double>(q[j]) * tile[j * kTileTokens + slot];
  }
  return sum;
}

class Scalar final : public PagedAttention {
 public:
  Scalar(const AttentionOptions& options, StoreCodec store)
      : options_(options), store_(std::move(store)) {}

  std::string_view name() const noexcept override { return "scalar"; }
  const quant::BlockLayout& layout() const noexcept override { return store_.layout(); }

  Result<KvArena> allocate(PoolSizes sizes) override {
    return allocate_arena(layout(), sizes, map_region);
  }

  Result<const AttnPlan*> plan(const PagedBatch& batch, const KvArena& arena) override {
    TQ_TRY(check_arena(layout(), &arena));
    TQ_TRY(check_batch(batch, arena, written_));
    plan_.value = batch;
    return &plan_;
  }

  Result<void> append(const AppendCall& call) override;
  Result<void> seal(const SealCall& call) override;
  Result<void> attend(const AttendCall& call) override;

 private:
  int dim() const noexcept { return layout().shape().head_dim; }
  size_t size() const noexcept { return static_cast<size_t>(dim()); }

  Token hot_token(const HotTile& tile, int slot) const;
  Token sealed_token(const SealedTile& tile, int slot) const;
  std::vector<Token> visible_tokens(const AttendCall& call,
                                    size_t s,
                                    int kv_head,
                                    int64_t position) const;
  void attend_row(const AttendCall& call,
                  const std::vector<Token>& tokens,
                  int kv_head,
                  size_t row) const;

  AttentionOptions options_;
  StoreCodec store_;
  ScalarPlan plan_;
  std::vector<uint8_t> written_;
};

Result<void> Scalar::append(const AppendCall& call) {
  TQ_TRY(check_arena(layout(), call.arena));
  TQ_CHECK(call.plan == &plan_, "append() needs the last plan()");
  const PagedBatch& batch = plan_.value;
  TQ_TRY(check_append(call, batch));
  const int block_tokens = layout().block_tokens();
  const size_t row_size = static_cast<size_t>(layout().shape().n_kv_heads) * size();
  for (size_t s = 0; s < static_cast<size_t>(batch.n_seqs); ++s) {
    for (int32_t token = batch.token_indptr[s]; token < batch.token_indptr[s + 1]; ++token) {
      const int64_t position = batch.first_position[s] + (token - batch.token_indptr[s]);
      for (int32_t i = batch.hot_indptr[s]; i < batch.hot_indptr[s + 1]; ++i) {
        const int64_t slot = position - batch.hot_first[static_cast<size_t>(i)];
        if (slot < 0 || slot >= block_tokens) continue;
        const size_t start = static_cast<size_t>(token) * row_size;
        store_.append_token(*call.arena,
                            {.layer = call.layer,
                             .block = batch.hot_blocks[static_cast<size_t>(i)],
                             .slot = static_cast<int>(slot)},
                            call.k.subspan(start, row_size), call.v.subspan(start, row_size));
      }
    }
  }
  return {};
}

Result<void> Scalar::seal(const SealCall& call) {
  TQ_TRY(check_arena(layout(), call.arena));
  TQ_TRY(check_seal(call));
  return store_.seal(call);
}

Token Scalar::hot_token(const HotTile& tile, int slot) const {
  Token token{std::vector<float>(size()), std::vector<float>(size())};
  for (int j = 0; j < dim(); ++j) {
    const auto at = static_cast<size_t>(j);
    const uint32_t k = layout().hot_k_tile().load(tile.k, slot, j);
    const uint32_t v = layout().hot_v_tile().load(tile.v, j, slot);
    token.k[at] = quant::bf16_to_float(static_cast<uint16_t>(k));
    token.v[at] = quant::bf16_to_float(static_cast<uint16_t>(v));
  }
  return token;
}

Token Scalar::sealed_token(const SealedTile& tile, int slot) const {
  std::vector<uint16_t> k_entries(size()), v_entries(size());
  for (int j = 0; j < dim(); ++j) {
    const auto at = static_cast<size_t>(j);
    k_entries[at] = static_cast<uint16_t>(layout().sealed_k_tile().load(tile.k, slot, j));
    v_entries[at] = static_cast<uint16_t>(layout().sealed_v_tile().load(tile.v, j, slot));
  }
  const auto decode = [slot](const quant::RowCodec* codec, const std::vector<uint16_t>& entries,
                             const uint8_t* scales, const uint8_t* exponent) {
    std::vector<float> row(entries.size());
    if (codec == nullptr) {
      std::transform(entries.begin(), entries.end(), row.begin(), quant::bf16_to_float);
    } else {
      codec->decode(std::vector<uint8_t>(entries.begin(), entries.end()),
                    row_scales(*codec, scales, slot), *exponent, row);
    }
    return row;
  };
  return {decode(store_.k_codec(), k_entries, tile.k_scales, tile.k_exponent),
          decode(store_.v_codec(), v_entries, tile.v_scales, tile.v_exponent)};
}

std::vector<Token> Scalar::visible_tokens(const AttendCall& call,
                                          size_t s,
                                          int kv_head,
                                          int64_t position) const {
  const PagedBatch& batch = plan_.value;
  const int block_tokens = layout().block_tokens();
  std::vector<Token> tokens;
  const auto place = [&](BlockId block, int slot) {
    return TilePlace{
        .layer = call.layer, .kv_head = kv_head, .block = block, .tile = slot / kTileTokens};
  };
  for_sealed_blocks(batch, s, block_tokens, [&](BlockId block, int32_t first) {
    for (int slot = 0; slot < block_tokens; ++slot) {
      tokens.push_back(sealed_token(call.arena->sealed(place(block, slot)), slot % kTileTokens));
      tokens.back().position = first + slot;
    }
  });
  for (int32_t i = batch.hot_indptr[s]; i < batch.hot_indptr[s + 1]; ++i) {
    const auto h = static_cast<size_t>(i);
    for (int slot = 0; slot < block_tokens && batch.hot_first[h] + slot <= position; ++slot) {
      const HotTile tile = call.arena->hot(place(batch.hot_blocks[h], slot));
      tokens.push_back(hot_token(tile, slot % kTileTokens));
      tokens.back().position = batch.hot_first[h] + slot;
    }
  }
  return tokens;
}

// Softmax in two passes. `row` indexes q and out as [n_tokens * n_heads, head_dim].
void Scalar::attend_row(const AttendCall& call,
                        const std::vector<Token>& tokens,
                        int kv_head,
                        size_t row) const {
  std::vector<float> q(call.q.begin() + static_cast<ptrdiff_t>(row * size()),
                       call.q.begin() + static_cast<ptrdiff_t>((row + 1) * size()));
  const std::vector<float> plain = q;
  if (store_.rotation() != nullptr) store_.rotation()->apply(q);

  std::vector<double> scores;
  double largest = -std::numeric_limits<double>::infinity();
  for (const Token& token : tokens) {
    double dot = 0.0;
    for (size_t j = 0; j < size(); ++j) dot += static_cast<double>(q[j]) * token.k[j];
    if (call.key_bias != nullptr) dot += bias_score(*call.key_bias, kv_head, plain, token.position);
    scores.push_back(dot * call.scale);
    largest = std::max(largest, scores.back());
  }
  double total = 0.0;
  std::vector<double> sum(size(), 0.0);
  for (size_t t = 0; t < tokens.size(); ++t) {
    const double weight = std::exp(scores[t] - largest);
    total += weight;
    for (size_t j = 0; j < size(); ++j) sum[j] += weight * tokens[t].v[j];
  }
  const std::span<float> out = call.out.subspan(row * size(), size());
  for (size_t j = 0; j < size(); ++j) {
    out[j] = tokens.empty() ? 0.0f : static_cast<float>(sum[j] / total);
  }
  if (store_.rotation() != nullptr) store_.rotation()->apply_inverse(out);
}

Result<void> Scalar::attend(const AttendCall& call) {
  TQ_TRY(check_arena(layout(), call.arena));
  TQ_CHECK(call.plan == &plan_, "attend() needs the last plan()");
  TQ_TRY(check_attend(call, plan_.value, options_.n_heads));
  const PagedBatch& batch = plan_.value;
  const int n_kv_heads = layout().shape().n_kv_heads;
  const int group = options_.n_heads / n_kv_heads;
  for (size_t s = 0; s < static_cast<size_t>(batch.n_seqs); ++s) {
    for (int32_t token = batch.token_indptr[s]; token < batch.token_indptr[s + 1]; ++token) {
      const int64_t position = batch.first_position[s] + (token - batch.token_indptr[s]);
      for (int kv_head = 0; kv_head < n_kv_heads; ++kv_head) {
        const std::vector<Token> tokens = visible_tokens(call, s, kv_head, position);
        for (int g = 0; g < group; ++g) {
          const int head = kv_head * group + g;
          attend_row(call, tokens, kv_head,
                     static_cast<size_t>(token) * static_cast<size_t>(options_.n_heads) +
                         static_cast<size_t>(head));
        }
      }
    }
  }
  return {};
}

}  // namespace

Result<std::unique_ptr<PagedAttention>> make_scalar(const AttentionOptions& options) {
  TQ_TRY(check_options(options));
  TQ_ASSIGN(StoreCodec store, StoreCodec::create(options));
  return std::unique_ptr<PagedAttention>(std::make_unique<Scalar>(options, std::move(store)));
}

}  // namespace tq::kernels::cpu

namespace tq::kernels {

BackendEntry scalar_backend() noexcept {
  return {
      .name = "scalar", .missing = {}, .make = cpu::make_scalar, .layer = scalar::layer_kernels()};
}

}  // namespace tq::kernels
