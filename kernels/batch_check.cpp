#include "kernels/batch_check.h"

#include <cmath>
#include <span>
#include <string>

namespace tq::kernels {
namespace {

Error bad(std::string where, std::string message) {
  return Error{Code::kInvalidArgument, std::move(message), std::move(where)};
}

std::string at(std::string_view field, size_t index) {
  return std::string(field) + "[" + std::to_string(index) + "]";
}

// indptr must have n_seqs + 1 entries, start at 0, never fall, and end at `total`.
Result<void> check_indptr(std::string_view field,
                          std::span<const int32_t> indptr,
                          int32_t n_seqs,
                          size_t total) {
  if (indptr.size() != static_cast<size_t>(n_seqs) + 1) {
    return bad(std::string(field), "has " + std::to_string(indptr.size()) +
                                       " entries, not n_seqs + 1 = " + std::to_string(n_seqs + 1));
  }
  if (indptr.front() != 0) return bad(at(field, 0), "must be 0");
  for (size_t s = 0; s + 1 < indptr.size(); ++s) {
    if (indptr[s + 1] < indptr[s]) {
      return bad(at(field, s + 1), std::to_string(indptr[s + 1]) +
                                       " is below the entry before it, " +
                                       std::to_string(indptr[s]));
    }
  }
  if (static_cast<size_t>(indptr.back()) != total) {
    return bad(std::string(field), "ends at " + std::to_string(indptr.back()) +
                                       ", but the array has " + std::to_string(total) + " entries");
  }
  return {};
}

Result<void> check_ids(std::string_view field, std::span<const BlockId> ids, int32_t n_blocks) {
  for (size_t i = 0; i < ids.size(); ++i) {
    if (raw(ids[i]) < 0 || raw(ids[i]) >= n_blocks) {
      return bad(at(field, i), "block " + std::to_string(raw(ids[i])) + " is not in the pool of " +
                                   std::to_string(n_blocks));
    }
  }
  return {};
}

Result<void> check_sequence(const PagedBatch& batch,
                            size_t s,
                            int32_t block_tokens,
                            std::vector<uint8_t>& written) {
  const int64_t n_rows = batch.token_indptr[s + 1] - batch.token_indptr[s];
  const int64_t first = batch.first_position[s];
  if (first < 0) return bad(at("first_position", s), std::to_string(first) + " is negative");
  const int64_t end = first + n_rows;
  const int64_t n_sealed = batch.sealed_indptr[s + 1] - batch.sealed_indptr[s];
  int64_t covered = n_sealed * block_tokens;
  if (covered > first) {
    return bad(at("sealed_indptr", s), std::to_string(n_sealed) +
                                           " sealed blocks do not lie before position " +
                                           std::to_string(first));
  }
  int64_t previous = -1;
  int64_t rows_covered = 0;
  for (int32_t i = batch.hot_indptr[s]; i < batch.hot_indptr[s + 1]; ++i) {
    const auto h = static_cast<size_t>(i);
    const int64_t start = batch.hot_first[h];
    if (start < 0 || start % block_tokens != 0) {
      return bad(at("hot_first", h), std::to_string(start) + " is no multiple of block_tokens " +
                                         std::to_string(block_tokens));
    }
    if (start <= previous) return bad(at("hot_first", h), "positions must ascend");
    previous = start;
    const int64_t stop = std::min<int64_t>(start + block_tokens, end);
    if (stop > start) covered += stop - start;
    const int64_t fresh = stop - std::max<int64_t>(start, first);
    if (fresh <= 0) continue;
    rows_covered += fresh;
    uint8_t& mark = written[static_cast<size_t>(raw(batch.hot_blocks[h]))];
    if (mark != 0) return bad(at("hot_blocks", h), "this step writes the block more than once");
    mark = 1;
  }
  if (rows_covered != n_rows) {
    return bad(at("hot_first", s), "the sequence's hot blocks cover " +
                                       std::to_string(rows_covered) + " of the step's " +
                                       std::to_string(n_rows) + " rows");
  }
  if (n_rows > 0 && covered != end) {
    return bad(at("hot_indptr", s), "blocks cover " + std::to_string(covered) + " of " +
                                        std::to_string(end) + " positions");
  }
  return {};
}

Result<void> check_span(std::string_view field, size_t size, size_t want) {
  if (size == want) return {};
  return bad(std::string(field),
             "has " + std::to_string(size) + " values, not " + std::to_string(want));
}

Result<void> check_layer(LayerIdx layer, const quant::BlockLayout& layout) {
  if (layer >= 0 && layer < layout.shape().n_layers) return {};
  return bad("layer", std::to_string(layer) + " is not one of the " +
                          std::to_string(layout.shape().n_layers) + " layers");
}

Result<void> check_key_bias(const KeyBias& bias, const AttendCall& call, const PagedBatch& batch) {
  const quant::KvShape& shape = call.arena->layout().shape();
  if (bias.n_kv_heads() != shape.n_kv_heads || bias.head_dim() != shape.head_dim) {
    return bad("key_bias", "was made for other heads");
  }
  for (size_t s = 0; s < static_cast<size_t>(batch.n_seqs); ++s) {
    const int64_t end =
        int64_t{batch.first_position[s]} + batch.token_indptr[s + 1] - batch.token_indptr[s];
    if (end > bias.turns().n_positions()) {
      return bad("key_bias", "reaches to position " + std::to_string(bias.turns().n_positions()) +
                                 ", not to " + std::to_string(end));
    }
  }
  return {};
}

}  // namespace

Result<void> check_batch(const PagedBatch& batch,
                         const KvArena& arena,
                         std::vector<uint8_t>& written) {
  if (batch.n_seqs < 0) return bad("n_seqs", "must not be negative");
  if (batch.n_tokens < 0) return bad("n_tokens", "must not be negative");
  const auto n_tokens = static_cast<size_t>(batch.n_tokens);
  TQ_TRY(check_indptr("token_indptr", batch.token_indptr, batch.n_seqs, n_tokens));
  if (batch.first_position.size() != static_cast<size_t>(batch.n_seqs)) {
    return bad("first_position", "has " + std::to_string(batch.first_position.size()) +
                                     " entries, not n_seqs = " + std::to_string(batch.n_seqs));
  }
  TQ_TRY(check_indptr("hot_indptr", batch.hot_indptr, batch.n_seqs, batch.hot_blocks.size()));
  if (batch.hot_first.size() != batch.hot_blocks.size()) {
    return bad("hot_first", "has " + std::to_string(batch.hot_first.size()) +
                                " entries, hot_blocks has " +
                                std::to_string(batch.hot_blocks.size()));
  }
  TQ_TRY(
      check_indptr("sealed_indptr", batch.sealed_indptr, batch.n_seqs, batch.sealed_blocks.size()));
  TQ_TRY(check_ids("hot_blocks", batch.hot_blocks, arena.sizes().hot_blocks));
  TQ_TRY(check_ids("sealed_blocks", batch.sealed_blocks, arena.sizes().sealed_blocks));

  written.assign(static_cast<size_t>(arena.sizes().hot_blocks), 0);
  const int32_t block_tokens = arena.layout().block_tokens();
  for (size_t s = 0; s < static_cast<size_t>(batch.n_seqs); ++s) {
    TQ_TRY(check_sequence(batch, s, block_tokens, written));
  }
  return {};
}

Result<void> check_options(const AttentionOptions& options) {
  const int n_kv_heads = options.shape.n_kv_heads;
  if (n_kv_heads < 1) return bad("n_kv_heads", "must be at least 1");
  if (options.n_heads < 1 || options.n_heads % n_kv_heads != 0 ||
      options.n_heads / n_kv_heads > kGroupMax) {
    return bad("n_heads", std::to_string(options.n_heads) + " must be 1 to " +
                              std::to_string(kGroupMax) + " times n_kv_heads " +
                              std::to_string(n_kv_heads));
  }
  if (options.n_threads < 1 || options.n_threads > kThreadsMax) {
    return bad("n_threads",
               std::to_string(options.n_threads) + " must be 1 to " + std::to_string(kThreadsMax));
  }
  return {};
}

Result<void> check_arena(const quant::BlockLayout& layout, const KvArena* arena) {
  if (arena == nullptr) return bad("arena", "is null");
  const quant::BlockLayout& other = arena->layout();
  const quant::KvShape& a = layout.shape();
  const quant::KvShape& b = other.shape();
  if (a.n_layers != b.n_layers || a.n_kv_heads != b.n_kv_heads || a.head_dim != b.head_dim ||
      layout.block_tokens() != other.block_tokens() || layout.formats() != other.formats()) {
    return bad("arena", "was allocated for another layout");
  }
  return {};
}

Result<void> check_append(const AppendCall& call, const PagedBatch& batch) {
  const quant::KvShape& shape = call.arena->layout().shape();
  TQ_TRY(check_layer(call.layer, call.arena->layout()));
  const size_t want = static_cast<size_t>(batch.n_tokens) * static_cast<size_t>(shape.n_kv_heads) *
                      static_cast<size_t>(shape.head_dim);
  TQ_TRY(check_span("k", call.k.size(), want));
  return check_span("v", call.v.size(), want);
}

Result<void> check_attend(const AttendCall& call, const PagedBatch& batch, int n_heads) {
  TQ_TRY(check_attend_inputs(call, batch, n_heads));
  return check_span("out", call.out.size(), call.q.size());
}

Result<void> check_attend_inputs(const AttendCall& call, const PagedBatch& batch, int n_heads) {
  TQ_TRY(check_layer(call.layer, call.arena->layout()));
  if (!std::isfinite(call.scale)) return bad("scale", "must be finite");
  const size_t want = static_cast<size_t>(batch.n_tokens) * static_cast<size_t>(n_heads) *
                      static_cast<size_t>(call.arena->layout().shape().head_dim);
  TQ_TRY(check_span("q", call.q.size(), want));
  return call.key_bias == nullptr ? Result<void>() : check_key_bias(*call.key_bias, call, batch);
}

Result<void> check_seal(const SealCall& call) {
  const BlockId hot[] = {call.hot};
  const BlockId sealed[] = {call.sealed};
  TQ_TRY(check_ids("hot", hot, call.arena->sizes().hot_blocks));
  return check_ids("sealed", sealed, call.arena->sizes().sealed_blocks);
}

}  // namespace tq::kernels
