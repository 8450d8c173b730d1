#include "kernels/cuda/cuda_backend.h"

#include <cstring>
#include <map>
#include <numbers>
#include <string>
#include <utility>
#include <vector>

#include "kernels/batch_check.h"
#include "kernels/cpu/store_codec.h"
#include "kernels/cuda/attend_plan.h"
#include "kernels/cuda/copy_launch.h"
#include "kernels/cuda/device.h"
#include "kernels/cuda/step_upload.h"
#include "kernels/cuda/store_view.h"

namespace tq::kernels::cuda {
namespace {

constexpr uint64_t kStagingBytesMin = 64 << 10;

// Device memory that grows in plan().
struct Buffer {
  KvArena::Region region{nullptr, nullptr};
  uint64_t n_bytes = 0;
};

uint64_t with_room(uint64_t n) { return std::max(n + n / 2, kStagingBytesMin); }

// Pinned memory on its way to the device. Two are used in turn: the host prepares a step while the
// copy of the one before may still wait for its turn on the stream.
struct Staging {
  Buffer pinned;
  Mark copied;
};

// An AttendPlan, and where its lists lie on the device.
struct Cut {
  AttendPlan plan;
  size_t items = 0;  // bytes from the start of the step's upload
  size_t row_items = 0;
  size_t blocks = 0;

  bool has_rows() const noexcept { return !plan.row_items.empty(); }
  void add_to(StepUpload& upload) {
    items = upload.add(std::span<const AttendItem>(plan.items));
    row_items = upload.add(std::span<const AttendItem>(plan.row_items));
    blocks = upload.add(std::span<const QueryBlock>(plan.blocks));
  }
  void describe(const std::byte* uploaded, AttendParams& params) const {
    params.items = reinterpret_cast<const AttendItem*>(uploaded + items);
    params.n_items = static_cast<int32_t>(plan.items.size());
    params.n_small_items = plan.n_small_items;
    params.row_items = reinterpret_cast<const AttendItem*>(uploaded + row_items);
    params.n_row_items = static_cast<int32_t>(plan.row_items.size());
    params.blocks = reinterpret_cast<const QueryBlock*>(uploaded + blocks);
    params.n_blocks = static_cast<int32_t>(plan.blocks.size());
  }
};

class Plan final : public AttnPlan {
 public:
  const PagedBatch& batch() const noexcept override { return value; }
  PagedBatch value;
  StepView view;
  Cut attention;
  // For layers with a key bias, which attend_rows.cuh does not add; unused if `attention` has none.
  Cut without_rows;
};

class CudaBackend final : public DeviceAttention {
 public:
  CudaBackend(const AttentionOptions& options, cpu::StoreCodec store, Stream stream)
      : options_(options),
        store_(std::move(store)),
        stream_(stream),
        view_(make_store_view(store_)) {}
  Result<void> prepare();

  std::string_view name() const noexcept override { return "cuda"; }
  const quant::BlockLayout& layout() const noexcept override { return store_.layout(); }
  Result<KvArena> allocate(PoolSizes sizes) override;
  Result<const AttnPlan*> plan(const PagedBatch& batch, const KvArena& arena) override;
  Result<void> append(const AppendCall& call) override;
  Result<void> seal(const SealCall& call) override;
  Result<void> attend(const AttendCall& call) override;
  Result<void> attend_to(const AttendCall& call, ElementType type, void* out) override;

  Result<KvArena::Region> allocate_bytes(std::string_view what, uint64_t n_bytes) override {
    return allocate_device(what, n_bytes);
  }
  Result<void> upload(const KeyBias& bias) override;
  Result<void> write(std::byte* to, std::span<const std::byte> from) override;
  Result<void> read(std::span<std::byte> to, const std::byte* from) override;
  Result<KvArena> allocate_host(PoolSizes sizes) override;
  Result<void> copy_blocks(const CopyCall& call) override;
  Result<void> wait() override;

 private:
  int32_t& bad() noexcept { return *reinterpret_cast<int32_t*>(bad_.get()); }
  Result<void> upload_rotation();
  Result<CodecView> upload_codec(const quant::RowCodec* codec);
  template <class T>
  Result<const T*> upload_constant(std::span<const T> values);
  Result<void> upload_table(uint64_t id, std::span<const float> values);
  Result<KeyBiasView> view_of(const KeyBias* bias) const;
  Result<void> upload_step(std::span<const std::byte> bytes);
  Result<void> grow(Buffer& buffer, std::string_view what, uint64_t n_bytes);

  AttentionOptions options_;
  cpu::StoreCodec store_;
  Stream stream_;
  StoreView view_;  // without pointers
  RotationView rotation_;
  CodecView k_codec_, v_codec_;
  std::vector<KvArena::Region> constants_;
  std::map<uint64_t, const float*> tables_;  // of key biases, by their ids
  KvArena::Region bad_{nullptr, nullptr};    // SealParams::bad, in pinned memory
  StepUpload upload_;
  std::vector<Staging> staging_;
  size_t next_staging_ = 0;
  Buffer step_;
  Buffer q_;       // rotated
  Buffer states_;  // AttendParams::states
  Plan plan_;
  std::vector<uint8_t> written_;
};

Result<void> CudaBackend::prepare() {
  TQ_TRY(upload_rotation());
  TQ_ASSIGN(k_codec_, upload_codec(store_.k_codec()));
  TQ_ASSIGN(v_codec_, upload_codec(store_.v_codec()));
  TQ_ASSIGN(bad_, allocate_pinned(sizeof(int32_t)));
  bad() = 0;
  for (int i = 0; i < 2; ++i) {
    TQ_ASSIGN(Mark copied, Mark::create());
    staging_.push_back({.pinned = {}, .copied = std::move(copied)});
  }
  return {};
}

template <class T>
Result<const T*> CudaBackend::upload_constant(std::span<const T> values) {
  TQ_ASSIGN(KvArena::Region region, allocate_device("constants", values.size_bytes()));
  auto* const start = region.get();
  TQ_TRY(write(start, std::as_bytes(values)));
  constants_.push_back(std::move(region));
  return reinterpret_cast<const T*>(start);
}

Result<void> CudaBackend::upload_rotation() {
  const quant::Rotation* const rotation = store_.rotation();
  if (rotation == nullptr) return {};
  if (rotation->kind() == RotationKind::kHadamard) {
    std::vector<float> signs;
    for (int round = 0; round < quant::Rotation::kHadamardRounds; ++round) {
      const std::span<const float> of_round = rotation->signs(round);
      signs.insert(signs.end(), of_round.begin(), of_round.end());
    }
    TQ_ASSIGN(rotation_.signs, upload_constant(std::span<const float>(signs)));
    return {};
  }
  const auto n = static_cast<size_t>(rotation->dim());
  const std::span<const float> matrix = rotation->matrix();
  std::vector<float> transposed(matrix.size());
  for (size_t i = 0; i < n; ++i) {
    for (size_t j = 0; j < n; ++j) transposed[j * n + i] = matrix[i * n + j];
  }
  TQ_ASSIGN(rotation_.forward, upload_constant(std::span<const float>(transposed)));
  TQ_ASSIGN(rotation_.inverse, upload_constant(matrix));
  return {};
}

Result<CodecView> CudaBackend::upload_codec(const quant::RowCodec* codec) {
  CodecView view;
  if (codec == nullptr) return view;
  view.search_from = codec->search().from;
  view.n_candidates = codec->search().n_candidates;
  const CellTables tables = make_cells(*codec);
  if (tables.cells.empty()) return view;
  TQ_ASSIGN(view.cells, upload_constant(std::span<const uint32_t>(tables.cells)));
  TQ_ASSIGN(view.codes, upload_constant(std::span<const uint8_t>(tables.codes)));
  return view;
}

Result<void> CudaBackend::upload_table(uint64_t id, std::span<const float> values) {
  if (tables_.contains(id)) return {};
  TQ_ASSIGN(const float* const there, upload_constant(values));
  tables_.emplace(id, there);
  return {};
}

Result<void> CudaBackend::upload(const KeyBias& bias) {
  TQ_TRY(upload_table(bias.turns().id(), bias.turns().values()));
  return upload_table(bias.id(), bias.tiles());
}

Result<KeyBiasView> CudaBackend::view_of(const KeyBias* bias) const {
  if (bias == nullptr) return KeyBiasView{};
  const auto tiles = tables_.find(bias->id());
  if (tiles == tables_.end()) {
    return Error{Code::kInvalidArgument, "was not uploaded to the device", "key_bias"};
  }
  const TileTurns& turns = bias->turns();
  return KeyBiasView{.tiles = tiles->second,
                     .turns = tables_.at(turns.id()),
                     .n_pairs = turns.n_pairs(),
                     .interleaved = turns.pairs().interleaved};
}

Result<KvArena> CudaBackend::allocate(PoolSizes sizes) {
  return kernels::allocate_arena(layout(), sizes, allocate_device);
}

Result<KvArena> CudaBackend::allocate_host(PoolSizes sizes) {
  return kernels::allocate_arena(
      layout(), sizes, [](std::string_view, uint64_t n_bytes) { return allocate_pinned(n_bytes); });
}

Result<void> CudaBackend::grow(Buffer& buffer, std::string_view what, uint64_t n_bytes) {
  if (buffer.n_bytes >= n_bytes) return {};
  const uint64_t n = with_room(n_bytes);
  TQ_TRY(cuda::wait(stream_));  // kernels of the last step may still use it
  buffer = Buffer{};
  TQ_ASSIGN(buffer.region, allocate_device(what, n));
  buffer.n_bytes = n;
  return {};
}

Result<void> CudaBackend::upload_step(std::span<const std::byte> bytes) {
  Staging& staging = staging_[next_staging_];
  next_staging_ = (next_staging_ + 1) % staging_.size();
  TQ_TRY(staging.copied.wait());
  if (staging.pinned.n_bytes < bytes.size()) {
    const uint64_t n = with_room(bytes.size());
    TQ_ASSIGN(staging.pinned.region, allocate_pinned(n));
    staging.pinned.n_bytes = n;
  }
  TQ_TRY(grow(step_, "block tables", bytes.size()));
  std::memcpy(staging.pinned.region.get(), bytes.data(), bytes.size());
  TQ_TRY(copy(step_.region.get(), staging.pinned.region.get(), bytes.size(), stream_));
  return staging.copied.set(stream_);
}

Result<const AttnPlan*> CudaBackend::plan(const PagedBatch& batch, const KvArena& arena) {
  TQ_TRY(check_arena(layout(), &arena));
  TQ_TRY(check_batch(batch, arena, written_));
  plan_.value = batch;
  upload_.build(batch, layout());
  AttendGeometry geometry{.block_tokens = layout().block_tokens(),
                          .n_kv_heads = view_.n_kv_heads,
                          .group = options_.n_heads / view_.n_kv_heads};
  plan_.attention.plan.build(batch, geometry);
  plan_.attention.add_to(upload_);
  int32_t n_states = plan_.attention.plan.n_states;
  if (plan_.attention.has_rows()) {
    geometry.has_rows = false;
    plan_.without_rows.plan.build(batch, geometry);
    plan_.without_rows.add_to(upload_);
    n_states = std::max(n_states, plan_.without_rows.plan.n_states);
  }
  TQ_TRY(upload_step(upload_.bytes()));
  plan_.view = upload_.view(step_.region.get());
  const auto dim = static_cast<size_t>(view_.head_dim);
  const size_t q_floats =
      static_cast<size_t>(batch.n_tokens) * static_cast<size_t>(options_.n_heads) * dim;
  const size_t state_floats = static_cast<size_t>(n_states) * attend_state_floats(view_.head_dim);
  TQ_TRY(grow(q_, "queries", q_floats * sizeof(float)));
  TQ_TRY(grow(states_, "partial attention", state_floats * sizeof(float)));
  return &plan_;
}

Result<void> CudaBackend::append(const AppendCall& call) {
  TQ_TRY(check_arena(layout(), call.arena));
  TQ_CHECK(call.plan == &plan_, "append() needs the last plan()");
  TQ_TRY(check_append(call, plan_.value));
  return launch_append({.store = in_layer(view_, *call.arena, call.layer),
                        .rotation = rotation_,
                        .step = plan_.view,
                        .k = call.k.data(),
                        .v = call.v.data()},
                       stream_);
}

Result<void> CudaBackend::seal(const SealCall& call) {
  TQ_TRY(check_arena(layout(), call.arena));
  TQ_TRY(check_seal(call));
  const PoolSizes sizes = call.arena->sizes();
  const auto n_hot = static_cast<size_t>(layout().pool_parts(sizes.hot_blocks));
  const auto n_sealed = static_cast<size_t>(layout().pool_parts(sizes.sealed_blocks));
  return launch_seal({.store = in_layer(view_, *call.arena, 0),
                      .hot_layer_stride = n_hot * view_.hot_stride,
                      .codes_layer_stride = n_sealed * view_.codes_stride,
                      .scales_layer_stride = n_sealed * view_.scales_stride,
                      .exponents_layer_stride = n_sealed * view_.exponents_stride,
                      .n_layers = layout().shape().n_layers,
                      .n_tiles = layout().n_tiles(),
                      .hot = raw(call.hot) * layout().n_tiles(),
                      .sealed = raw(call.sealed) * layout().n_tiles(),
                      .k = k_codec_,
                      .v = v_codec_,
                      .bad = &bad()},
                     stream_);
}

Result<void> CudaBackend::attend(const AttendCall& call) {
  TQ_TRY(check_arena(layout(), call.arena));
  TQ_CHECK(call.plan == &plan_, "attend() needs the last plan()");
  TQ_TRY(check_attend(call, plan_.value, options_.n_heads));
  return attend_to(call, ElementType::kF32, call.out.data());
}

Result<void> CudaBackend::attend_to(const AttendCall& call, ElementType type, void* out) {
  TQ_TRY(check_arena(layout(), call.arena));
  TQ_CHECK(call.plan == &plan_, "attend_to() needs the last plan()");
  TQ_TRY(check_attend_inputs(call, plan_.value, options_.n_heads));
  TQ_ASSIGN(const KeyBiasView bias, view_of(call.key_bias));
  auto* const rotated = reinterpret_cast<float*>(q_.region.get());
  TQ_TRY(launch_rotate({.rotation = rotation_,
                        .rows = call.q.data(),
                        .out = rotated,
                        .n_rows = plan_.view.n_tokens * options_.n_heads,
                        .head_dim = view_.head_dim,
                        .inverse = false},
                       stream_));
  AttendParams params{.store = in_layer(view_, *call.arena, call.layer),
                      .rotation = rotation_,
                      .step = plan_.view,
                      .n_heads = options_.n_heads,
                      .scale_log2 = call.scale * std::numbers::log2e_v<float>,
                      .q = rotated,
                      .bias = bias,
                      .plain_q = call.q.data(),
                      .out_type = type,
                      .out = out,
                      .states = reinterpret_cast<float*>(states_.region.get())};
  const bool leaves_rows_out = call.key_bias != nullptr && plan_.attention.has_rows();
  (leaves_rows_out ? plan_.without_rows : plan_.attention).describe(step_.region.get(), params);
  return launch_attend(params, stream_);
}

Result<void> CudaBackend::copy_blocks(const CopyCall& call) {
  TQ_TRY(check_copy(layout(), call));
  return launch_copy(call, stream_);
}

Result<void> CudaBackend::write(std::byte* to, std::span<const std::byte> from) {
  TQ_TRY(copy(to, from.data(), from.size(), stream_));
  return cuda::wait(stream_);
}

Result<void> CudaBackend::read(std::span<std::byte> to, const std::byte* from) {
  TQ_TRY(copy(to.data(), from, to.size(), stream_));
  return wait();
}

Result<void> CudaBackend::wait() {
  TQ_TRY(cuda::wait(stream_));
  if (std::exchange(bad(), 0) == 0) return {};
  return Error{Code::kInternal, "cannot seal a block: a row holds NaN or infinity", "kv"};
}

}  // namespace

Result<std::unique_ptr<DeviceAttention>> make_device_attention(const AttentionOptions& options,
                                                               Stream stream) {
  TQ_TRY(check_options(options));
  TQ_ASSIGN(cpu::StoreCodec store, cpu::StoreCodec::create(options));
  auto backend = std::make_unique<CudaBackend>(options, std::move(store), stream);
  TQ_TRY(backend->prepare());
  return std::unique_ptr<DeviceAttention>(std::move(backend));
}

}  // namespace tq::kernels::cuda
