#include "kernels/cpu/cpu_backend.h"

#include <atomic>
#include <cstring>
#include <numbers>
#include <utility>
#include <vector>

#include "config/limits.h"
#include "kernels/batch_check.h"
#include "kernels/cpu/host_memory.h"
#include "kernels/cpu/kernel_rotation.h"
#include "kernels/cpu/step_plan.h"
#include "kernels/cpu/store_codec.h"
#include "kernels/cpu/thread_pool.h"
#include "kernels/cpu/workspace.h"

namespace tq::kernels::cpu {
namespace {

static_assert(kTile == quant::kTileTokens);
static_assert(kHeadDimMax == limits::kHeadDimMax);
static_assert(kKeyGroup == quant::kKeyGroup && kValueGroup == quant::kValueGroup);
static_assert(kLevelUnit == quant::kLevelUnit);
static_assert(kStepsPerLevel == quant::ScaleSearch::kStepsPerLevel);
static_assert(kStepsMax == quant::ScaleSearch::kStepsMax);
static_assert(kTinyGroup == quant::ScaleFormat{}.tiny());
static_assert(kBooksMax == quant::ScaleFormat{2}.n_books());
constexpr bool agrees_on(quant::ScaleFormat format) {
  return largest_scale(format.book_bits) == format.largest() &&
         scale_unit(format.book_bits) == format.unit();
}
static_assert(agrees_on({0}) && agrees_on({1}) && agrees_on({2}));
static_assert(kQueriesMax >= kGroupMax);

// Below this many tiles x queries a call is done before another thread would have woken.
constexpr int64_t kWorkMin = 64;
constexpr int64_t kAppendRowsMin = 64;  // the same for append(), in tokens x KV heads

class CpuBackend final : public PagedAttention {
 public:
  CpuBackend(const IsaKernels& kernels, const AttentionOptions& options, StoreCodec store);

  std::string_view name() const noexcept override { return kernels_.name; }
  const quant::BlockLayout& layout() const noexcept override { return store_.layout(); }
  Result<KvArena> allocate(PoolSizes sizes) override {
    return allocate_arena(layout(), sizes, map_region);
  }
  Result<const AttnPlan*> plan(const PagedBatch& batch, const KvArena& arena) override;
  Result<void> append(const AppendCall& call) override;
  Result<void> seal(const SealCall& call) override;
  Result<void> attend(const AttendCall& call) override;

 private:
  template <class Call>
  struct Job {
    CpuBackend* self;
    const Call* call;
    std::atomic<bool> ok{true};
  };

  int head_dim() const noexcept { return layout().shape().head_dim; }
  int group() const noexcept { return options_.n_heads / layout().shape().n_kv_heads; }
  HalfView sealed_half(bool is_key) const;
  KvView view(const AttendCall& call, const AttnItem& item) const;
  void run(int n_items, bool worth_threads, ThreadPool::Function fn, void* context) noexcept;

  void append_item(const AppendCall& call, int item) const noexcept;
  bool seal_tile(const SealTile& tile, const quant::RowCodec* codec) const noexcept;
  bool seal_item(const SealCall& call, int item) const noexcept;
  QueryBlock prepare(const AttendCall& call,
                     const AttnItem& item,
                     const KvView& kv,
                     Workspace& work) const noexcept;
  void attend_item(const AttendCall& call, const AttnItem& item, int thread) noexcept;
  size_t query_offset(const AttnItem& item, int query) const noexcept;
  void attend_parts(const QueryBlock& queries,
                    const KvView& kv,
                    const AttnItem& item,
                    int first_part,
                    int last_part,
                    Workspace& work) const noexcept;
  void write_out(const AttendCall& call,
                 const AttnItem& item,
                 const PartState& state) const noexcept;

  const IsaKernels& kernels_;
  AttentionOptions options_;
  StoreCodec store_;
  KernelRotation rotation_;
  StepPlan plan_;
  std::vector<uint8_t> written_;
  std::vector<Workspace> workspaces_;  // one per thread
  SplitStates split_states_;
  std::unique_ptr<ThreadPool>
      own_pool_;  // late: its threads use the rest; null where one is shared
  ThreadPool& pool_;
};

int query_stride(const StoreCodec& store) {
  return store.k_codec() == nullptr ? 0 : store.layout().sealed_k_tile().depth_padded() / 2;
}

CpuBackend::CpuBackend(const IsaKernels& kernels, const AttentionOptions& options, StoreCodec store)
    : kernels_(kernels),
      options_(options),
      store_(std::move(store)),
      rotation_(store_.rotation()),
      split_states_(options.shape.head_dim),
      own_pool_(options.pool ? nullptr : std::make_unique<ThreadPool>(options.n_threads)),
      pool_(options.pool ? *options.pool : *own_pool_) {
  const quant::RowCodec* const keys = store_.k_codec();
  TQ_CHECK(keys == nullptr || key_book_bits(keys->shape().bits) == keys->scale_format().book_bits,
           "codebooks of keys", keys->shape().bits);
  workspaces_.reserve(static_cast<size_t>(pool_.n_threads()));
  for (int i = 0; i < pool_.n_threads(); ++i) {
    workspaces_.emplace_back(head_dim(), query_stride(store_));
  }
}

Result<const AttnPlan*> CpuBackend::plan(const PagedBatch& batch, const KvArena& arena) {
  TQ_TRY(check_arena(layout(), &arena));
  TQ_TRY(check_batch(batch, arena, written_));
  plan_.build(batch, {.layout = &layout(), .group = group(), .n_threads = pool_.n_threads()});
  split_states_.reserve(plan_.n_split_states(), kQueriesMax);
  return &plan_;
}

void CpuBackend::run(int n_items,
                     bool worth_threads,
                     ThreadPool::Function fn,
                     void* context) noexcept {
  if (worth_threads) return pool_.run(n_items, fn, context);
  for (int item = 0; item < n_items; ++item) fn(context, item, 0);
}

// One run of tokens and one KV head.
void CpuBackend::append_item(const AppendCall& call, int item) const noexcept {
  const int n_kv_heads = layout().shape().n_kv_heads;
  const auto dim = static_cast<size_t>(head_dim());
  const TokenRun& tokens = plan_.runs()[static_cast<size_t>(item / n_kv_heads)];
  const int head = item % n_kv_heads;
  const size_t token_stride = static_cast<size_t>(n_kv_heads) * dim;
  const size_t first =
      static_cast<size_t>(tokens.token) * token_stride + static_cast<size_t>(head) * dim;
  const HotTile tile = call.arena->hot(
      {.layer = call.layer, .kv_head = head, .block = tokens.block, .tile = tokens.tile});
  kernels_.append({.k = call.k.data() + first,
                   .v = call.v.data() + first,
                   .token_stride = token_stride,
                   .n_tokens = tokens.n_tokens,
                   .slot = tokens.slot,
                   .head_dim = head_dim(),
                   .k_tile = tile.k,
                   .v_tile = tile.v,
                   .rotation = store_.rotation() == nullptr ? nullptr : &rotation_.view});
}

Result<void> CpuBackend::append(const AppendCall& call) {
  TQ_TRY(check_arena(layout(), call.arena));
  TQ_CHECK(call.plan == &plan_, "append() needs the last plan()");
  TQ_TRY(check_append(call, plan_.batch()));
  const int n_kv_heads = layout().shape().n_kv_heads;
  Job<AppendCall> job{this, &call};
  run(
      static_cast<int>(plan_.runs().size()) * n_kv_heads,
      int64_t{plan_.batch().n_tokens} * n_kv_heads >= kAppendRowsMin,
      [](void* context, int item, int) {
        const auto& mine = *static_cast<Job<AppendCall>*>(context);
        mine.self->append_item(*mine.call, item);
      },
      &job);
  return {};
}

// One tile of one KV head, keys or values. False where a row holds NaN or infinity.
bool CpuBackend::seal_tile(const SealTile& tile, const quant::RowCodec* codec) const noexcept {
  if (codec == nullptr) {
    std::memcpy(tile.sealed, tile.hot, layout().hot_k_tile().bytes());
    return true;
  }
  SealTile coded = tile;
  coded.head_dim = head_dim();
  coded.bits = codec->shape().bits;
  coded.group = codec->shape().group;
  coded.book_bits = codec->scale_format().book_bits;
  coded.levels = codec->levels(0).data();
  coded.boundaries = codec->boundaries(0).data();
  coded.search_from = codec->search().from;
  coded.search_candidates = codec->search().n_candidates;
  return kernels_.seal(coded);
}

// One tile of one KV head in one layer.
bool CpuBackend::seal_item(const SealCall& call, int item) const noexcept {
  const quant::BlockLayout& l = layout();
  const int tile = item % l.n_tiles();
  const int head = item / l.n_tiles() % l.shape().n_kv_heads;
  const LayerIdx layer = item / (l.n_tiles() * l.shape().n_kv_heads);
  const HotTile hot =
      call.arena->hot({.layer = layer, .kv_head = head, .block = call.hot, .tile = tile});
  const SealedTile sealed =
      call.arena->sealed({.layer = layer, .kv_head = head, .block = call.sealed, .tile = tile});
  const SealTile k{.hot = hot.k,
                   .sealed = sealed.k,
                   .scales = sealed.k_scales,
                   .exponent = sealed.k_exponent,
                   .is_key = true};
  const SealTile v{.hot = hot.v,
                   .sealed = sealed.v,
                   .scales = sealed.v_scales,
                   .exponent = sealed.v_exponent,
                   .is_key = false};
  return seal_tile(k, store_.k_codec()) && seal_tile(v, store_.v_codec());
}

Result<void> CpuBackend::seal(const SealCall& call) {
  TQ_TRY(check_arena(layout(), call.arena));
  TQ_TRY(check_seal(call));
  const quant::KvShape& shape = layout().shape();
  Job<SealCall> job{this, &call};
  run(
      shape.n_layers * shape.n_kv_heads * layout().n_tiles(), true,
      [](void* context, int item, int) {
        auto& mine = *static_cast<Job<SealCall>*>(context);
        if (!mine.self->seal_item(*mine.call, item))
          mine.ok.store(false, std::memory_order_relaxed);
      },
      &job);
  if (job.ok.load(std::memory_order_relaxed)) return {};
  return Error{Code::kInternal, "cannot seal a block: a row holds NaN or infinity", "kv"};
}

Result<void> CpuBackend::attend(const AttendCall& call) {
  TQ_TRY(check_arena(layout(), call.arena));
  TQ_CHECK(call.plan == &plan_, "attend() needs the last plan()");
  TQ_TRY(check_attend(call, plan_.batch(), options_.n_heads));
  for (Workspace& work : workspaces_) work.prepared_split = -1;
  Job<AttendCall> job{this, &call};
  run(
      static_cast<int>(plan_.items().size()), plan_.work() >= kWorkMin,
      [](void* context, int item, int thread) {
        const auto& mine = *static_cast<Job<AttendCall>*>(context);
        mine.self->attend_item(*mine.call, mine.self->plan_.items()[static_cast<size_t>(item)],
                               thread);
      },
      &job);
  return {};
}

HalfView CpuBackend::sealed_half(bool is_key) const {
  const quant::BlockLayout& l = layout();
  const quant::RowCodec* const codec = is_key ? store_.k_codec() : store_.v_codec();
  HalfView half{.bits = is_key ? l.sealed_k_tile().bits : l.sealed_v_tile().bits,
                .offset = is_key ? 0 : l.sealed_v()};
  if (codec == nullptr) return half;
  half.scale_offset = is_key ? 0 : l.v_scales();
  half.scale_bytes = static_cast<size_t>(codec->shape().n_groups()) * kTile;
  half.exponent_offset = is_key ? 0 : l.v_exponent();
  if (!codec->levels(0).empty()) half.levels = codec->levels(0).data();
  return half;
}

KvView CpuBackend::view(const AttendCall& call, const AttnItem& item) const {
  const quant::BlockLayout& l = layout();
  const KvArena& arena = *call.arena;
  const TileList& sealed = plan_.tiles().sealed;
  const TileList& hot = plan_.tiles().hot;
  const auto s = static_cast<size_t>(item.seq);
  const auto head = static_cast<size_t>(item.kv_head * quant::kSlabTiles);
  KvView kv;
  kv.codes_stride = l.code_part_bytes();
  kv.codes = arena.codes(call.layer) + head * kv.codes_stride;
  kv.scales_stride = l.scale_part_bytes();
  kv.scales = arena.scales(call.layer) + head * kv.scales_stride;
  kv.exponents_stride = l.exponent_part_bytes();
  kv.exponents = arena.exponents(call.layer) + head * kv.exponents_stride;
  kv.hot_stride = l.hot_part_bytes();
  kv.hot = arena.hot(call.layer) + head * kv.hot_stride;
  kv.sealed_parts = sealed.parts.data() + sealed.indptr[s];
  kv.hot_parts = hot.parts.data() + hot.indptr[s];
  kv.sealed_first = sealed.positions.data() + sealed.indptr[s];
  kv.hot_first = hot.positions.data() + hot.indptr[s];
  kv.n_sealed_tiles = sealed.indptr[s + 1] - sealed.indptr[s];
  kv.n_tiles = item.n_tiles;
  kv.hot_v.offset = l.hot_v();
  kv.sealed_k = sealed_half(true);
  kv.sealed_v = sealed_half(false);
  return kv;
}

// Where query `query` (row-major: rows, then the group) of an item lies in q and out.
size_t CpuBackend::query_offset(const AttnItem& item, int query) const noexcept {
  const int token =
      plan_.batch().token_indptr[static_cast<size_t>(item.seq)] + item.row + query / group();
  const int head = item.kv_head * group() + query % group();
  return (static_cast<size_t>(token) * static_cast<size_t>(options_.n_heads) +
          static_cast<size_t>(head)) *
         static_cast<size_t>(head_dim());
}

// Parts [first_part, last_part) into work.total().
void CpuBackend::attend_parts(const QueryBlock& queries,
                              const KvView& kv,
                              const AttnItem& item,
                              int first_part,
                              int last_part,
                              Workspace& work) const noexcept {
  for (int part = first_part; part < last_part; ++part) {
    const bool first = part == first_part;
    kernels_.attend_part(queries, kv, part * kPartTiles,
                         std::min((part + 1) * kPartTiles, item.n_tiles),
                         first ? work.total() : work.part());
    if (!first) fold(work.total(), work.part(), queries.n_queries, head_dim());
  }
}

void CpuBackend::write_out(const AttendCall& call,
                           const AttnItem& item,
                           const PartState& state) const noexcept {
  for (int q = 0; q < item.n_rows * group(); ++q) {
    const std::span<float> out =
        call.out.subspan(query_offset(item, q), static_cast<size_t>(head_dim()));
    finish(state, q, head_dim(), out.data());
    if (store_.rotation() != nullptr) kernels_.rotate(rotation_.view, out.data(), 1, true);
  }
}

// The item's queries, rotated and prepared in `work`: by the item before, where it was another part
// of the same rows.
QueryBlock CpuBackend::prepare(const AttendCall& call,
                               const AttnItem& item,
                               const KvView& kv,
                               Workspace& work) const noexcept {
  const auto dim = static_cast<size_t>(head_dim());
  QueryBlock queries;
  queries.n_queries = item.n_rows * group();
  queries.group = group();
  queries.head_dim = head_dim();
  queries.first_position =
      int64_t{plan_.batch().first_position[static_cast<size_t>(item.seq)]} + item.row;
  queries.scale_log2 = call.scale * std::numbers::log2e_v<float>;
  work.lend(queries);
  if (call.key_bias != nullptr) {
    const TileTurns& turns = call.key_bias->turns();
    queries.bias = {.tile = call.key_bias->tile(item.kv_head).data(),
                    .turns = turns.at(0).data(),
                    .n_pairs = turns.n_pairs(),
                    .interleaved = turns.pairs().interleaved};
  }
  if (item.split >= 0 && item.split == work.prepared_split) return queries;
  work.prepared_split = item.split;
  for (int q = 0; q < queries.n_queries; ++q) {
    std::memcpy(work.q() + static_cast<size_t>(q) * dim, call.q.data() + query_offset(item, q),
                dim * sizeof(float));
  }
  if (call.key_bias != nullptr) {
    std::memcpy(work.q_plain(), work.q(),
                static_cast<size_t>(queries.n_queries) * dim * sizeof(float));
  }
  if (store_.rotation()) kernels_.rotate(rotation_.view, work.q(), queries.n_queries, false);
  kernels_.prepare(queries, kv);
  return queries;
}

void CpuBackend::attend_item(const AttendCall& call, const AttnItem& item, int thread) noexcept {
  Workspace& work = workspaces_[static_cast<size_t>(thread)];
  const KvView kv = view(call, item);
  const QueryBlock queries = prepare(call, item, kv, work);
  if (item.part < 0) {
    attend_parts(queries, kv, item, 0, std::max(1, (item.n_tiles + kPartTiles - 1) / kPartTiles),
                 work);
    write_out(call, item, work.total());
    return;
  }
  SplitGroup& group_of_parts = plan_.splits()[static_cast<size_t>(item.split)];
  kernels_.attend_part(queries, kv, item.part * kPartTiles,
                       std::min((item.part + 1) * kPartTiles, item.n_tiles),
                       split_states_.at(group_of_parts.first_state + item.part));
  const std::atomic_ref<int32_t> n_left(group_of_parts.n_left);
  if (n_left.fetch_sub(1, std::memory_order_acq_rel) > 1) return;
  n_left.store(group_of_parts.n_parts, std::memory_order_relaxed);
  const PartState total = split_states_.at(group_of_parts.first_state);
  for (int part = 1; part < group_of_parts.n_parts; ++part) {
    fold(total, split_states_.at(group_of_parts.first_state + part), queries.n_queries, head_dim());
  }
  write_out(call, item, total);
}

}  // namespace

Result<std::unique_ptr<PagedAttention>> make_cpu_backend(const IsaKernels& kernels,
                                                         const AttentionOptions& options) {
  TQ_TRY(check_options(options));
  TQ_ASSIGN(StoreCodec store, StoreCodec::create(options));
  return std::unique_ptr<PagedAttention>(
      std::make_unique<CpuBackend>(kernels, options, std::move(store)));
}

}  // namespace tq::kernels::cpu
