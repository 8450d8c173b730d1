#include "bench/attention_case.h"

#include <algorithm>
#include <cmath>
#include <cstring>
#include <numeric>
#include <utility>

#include "quant/float16.h"
#include "quant/random.h"

namespace tq::bench {
namespace {

using kernels::PagedBatch;

// How many of a sequence's blocks are hot and sealed at this context.
struct BlockCounts {
  int hot = 0;
  int sealed = 0;
};

KvConfig kv_config(const CaseOptions& options) {
  KvConfig kv;
  kv.formats = options.formats;
  kv.seed = options.seed;
  return kv;
}

BlockCounts count_blocks(const CaseOptions& options) {
  const KvConfig kv = kv_config(options);
  const int n_blocks = (options.context + kv.block_tokens - 1) / kv.block_tokens;
  const int64_t first = std::max(0, options.context - options.n_rows);
  const auto until = static_cast<int>(sealed_until(kv, first));
  const int sealed = std::max(0, until - kv.sink_tokens) / kv.block_tokens;
  return {.hot = n_blocks - sealed, .sealed = sealed};
}

kernels::AttentionOptions attention_options(const CaseOptions& options) {
  kernels::AttentionOptions attention;
  attention.shape = {
      .n_layers = options.n_layers, .n_kv_heads = options.n_kv_heads, .head_dim = options.head_dim};
  attention.kv = kv_config(options);
  attention.n_heads = options.n_kv_heads * options.group;
  attention.n_threads = options.n_threads;
  return attention;
}

// Ascending, as a pool gives them to a sequence, or in any order.
std::vector<BlockId> block_ids(int n, bool scatter, quant::Rng& rng) {
  std::vector<BlockId> ids;
  ids.reserve(static_cast<size_t>(n));
  for (int i = 0; i < n; ++i) ids.push_back(BlockId{i});
  if (!scatter) return ids;
  for (int i = n - 1; i > 0; --i) {
    std::swap(ids[static_cast<size_t>(i)], ids[static_cast<size_t>(rng.below(i + 1))]);
  }
  return ids;
}

std::vector<float> gaussian(size_t n, quant::Rng& rng) {
  std::vector<float> values(n);
  for (float& value : values) value = static_cast<float>(rng.gaussian());
  return values;
}

// Repeats a block of random 16-bit words over a region.
template <class Make>
void fill_words(void* region, uint64_t n_bytes, Make make) {
  std::vector<uint16_t> words(8191);  // prime: no pattern falls into step with tiles
  for (uint16_t& word : words) word = make();
  auto* const out = static_cast<std::byte*>(region);
  const size_t block = words.size() * sizeof(uint16_t);
  for (uint64_t at = 0; at < n_bytes; at += block) {
    std::memcpy(out + at, words.data(), std::min<uint64_t>(block, n_bytes - at));
  }
}

}  // namespace

uint64_t layer_bytes(const CaseOptions& options) {
  const auto layout = quant::BlockLayout::create(
      {.n_layers = 1, .n_kv_heads = options.n_kv_heads, .head_dim = options.head_dim},
      options.formats, kv_config(options).block_tokens);
  if (!layout) return 0;
  const BlockCounts counts = count_blocks(options);
  return static_cast<uint64_t>(counts.hot) * layout->hot_block_bytes() +
         static_cast<uint64_t>(counts.sealed) * layout->sealed_block_bytes();
}

Result<std::unique_ptr<AttentionCase>> AttentionCase::create(const CaseOptions& options) {
  TQ_ASSIGN(auto backend, kernels::make_backend(options.backend, attention_options(options)));
  const BlockCounts counts = count_blocks(options);
  // One more of each for seal().
  TQ_ASSIGN(kernels::KvArena arena,
            backend->allocate({.hot_blocks = counts.hot + 1, .sealed_blocks = counts.sealed + 1}));
  std::unique_ptr<AttentionCase> result(
      new AttentionCase(options, std::move(backend), std::move(arena)));
  result->fill();
  TQ_TRY(result->plan());
  return result;
}

AttentionCase::AttentionCase(const CaseOptions& options,
                             std::unique_ptr<kernels::PagedAttention> backend,
                             kernels::KvArena arena)
    : options_(options),
      backend_(std::move(backend)),
      arena_(std::move(arena)),
      bytes_read_(layer_bytes(options) * static_cast<uint64_t>(options.n_layers)) {}

// Rows of about unit variance: scales of 1 to 1.875, of either sign, times 2.
void AttentionCase::fill_scales(quant::Rng& rng) {
  const kernels::RegionBytes bytes = kernels::arena_regions(arena_.layout(), arena_.sizes());
  uint8_t* const scales = arena_.scales(0);
  for (uint64_t i = 0; i < bytes.scales; ++i) {
    scales[i] = static_cast<uint8_t>(0x78 | (rng.bits() & 0x87));
  }
  std::memset(arena_.exponents(0), 128, bytes.exponents);
}

void AttentionCase::fill() {
  quant::Rng rng(options_.seed, quant::RngStream::kData);
  const kernels::RegionBytes bytes = kernels::arena_regions(arena_.layout(), arena_.sizes());
  fill_words(arena_.hot(0), bytes.hot,
             [&] { return quant::float_to_bf16(static_cast<float>(rng.gaussian())); });
  fill_words(arena_.codes(0), bytes.codes, [&] { return static_cast<uint16_t>(rng.bits()); });
  fill_scales(rng);
  const auto n_rows = static_cast<size_t>(options_.n_rows);
  const size_t kv_size = n_rows * static_cast<size_t>(options_.n_kv_heads * options_.head_dim);
  q_ = gaussian(kv_size * static_cast<size_t>(options_.group), rng);
  k_ = gaussian(kv_size, rng);
  v_ = gaussian(kv_size, rng);
  out_.resize(q_.size());
}

Result<void> AttentionCase::plan() {
  quant::Rng rng(options_.seed + 1, quant::RngStream::kData);
  const BlockCounts counts = count_blocks(options_);
  const KvConfig kv = kv_config(options_);
  PagedBatch batch;
  batch.n_tokens = options_.n_rows;
  batch.n_seqs = 1;
  batch.token_indptr = {0, options_.n_rows};
  batch.first_position = {options_.context - options_.n_rows};
  batch.hot_indptr = {0, counts.hot};
  batch.hot_blocks = block_ids(counts.hot, options_.scatter, rng);
  batch.sealed_indptr = {0, counts.sealed};
  batch.sealed_blocks = block_ids(counts.sealed, options_.scatter, rng);
  const int n_sink_blocks = kv.sink_tokens / kv.block_tokens;
  for (int i = 0; i < counts.hot; ++i) {
    const int block = i < n_sink_blocks ? i : i + counts.sealed;
    batch.hot_first.push_back(block * kv.block_tokens);
  }
  TQ_ASSIGN(plan_, backend_->plan(batch, arena_));
  return {};
}

void AttentionCase::attend() {
  for (LayerIdx layer = 0; layer < options_.n_layers; ++layer) {
    const auto done =
        backend_->attend({.plan = plan_,
                          .arena = &arena_,
                          .layer = layer,
                          .scale = 1.0f / std::sqrt(static_cast<float>(options_.head_dim)),
                          .q = q_,
                          .out = out_});
    TQ_CHECK(done.ok(), "attend()");
  }
}

void AttentionCase::append() {
  for (LayerIdx layer = 0; layer < options_.n_layers; ++layer) {
    const auto done =
        backend_->append({.plan = plan_, .arena = &arena_, .layer = layer, .k = k_, .v = v_});
    TQ_CHECK(done.ok(), "append()");
  }
}

void AttentionCase::seal() {
  const auto done = backend_->seal({.arena = &arena_,
                                    .hot = BlockId{arena_.sizes().hot_blocks - 1},
                                    .sealed = BlockId{arena_.sizes().sealed_blocks - 1}});
  TQ_CHECK(done.ok(), "seal()");
}

}  // namespace tq::bench
