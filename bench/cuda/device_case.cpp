#include "bench/cuda/device_case.h"

#include <algorithm>
#include <chrono>
#include <cmath>
#include <span>
#include <utility>
#include <vector>

#include "kernels/cuda/cuda_backend.h"
#include "kernels/cuda/device.h"
#include "quant/float16.h"
#include "quant/random.h"

namespace tq::bench {
namespace {

using kernels::KvArena;
using kernels::PagedBatch;

constexpr int kLayersMax = 96;
constexpr size_t kPatternBytes = 1 << 20;
constexpr uint8_t kExponent = 128;

struct BlockCounts {  // of one sequence
  int hot = 0;
  int sealed = 0;
};

BlockCounts count_blocks(const KvConfig& kv, int context) {
  const int sealed =
      static_cast<int>(sealed_until(kv, context - 1) - kv.sink_tokens) / kv.block_tokens;
  return {.hot = (context + kv.block_tokens - 1) / kv.block_tokens - sealed, .sealed = sealed};
}

std::vector<BlockId> shuffled_ids(int n, quant::Rng& rng) {
  std::vector<BlockId> ids;
  ids.reserve(static_cast<size_t>(n));
  for (int i = 0; i < n; ++i) ids.push_back(BlockId{i});
  for (int i = n - 1; i > 0; --i) {
    std::swap(ids[static_cast<size_t>(i)], ids[static_cast<size_t>(rng.below(i + 1))]);
  }
  return ids;
}

// Repeats the pattern over a region of the device.
Result<void> repeat(std::byte* to,
                    uint64_t n_bytes,
                    std::span<const std::byte> pattern,
                    kernels::cuda::Stream stream) {
  uint64_t done = std::min<uint64_t>(n_bytes, pattern.size());
  TQ_TRY(kernels::cuda::copy(to, pattern.data(), done, stream));
  while (done < n_bytes) {
    const uint64_t n = std::min(done, n_bytes - done);
    TQ_TRY(kernels::cuda::copy(to + done, to, n, stream));
    done += n;
  }
  return kernels::cuda::wait(stream);
}

// Of 1 to 1.875 and either sign, times 2 where exponents are kExponent.
std::vector<uint8_t> make_scales(quant::Rng& rng) {
  std::vector<uint8_t> scales(kPatternBytes);
  for (uint8_t& scale : scales) scale = static_cast<uint8_t>(0x78 | (rng.bits() & 0x87));
  return scales;
}

}  // namespace

int layers_to_read(uint64_t read_bytes_min, uint64_t layer_bytes) {
  return static_cast<int>(std::clamp<uint64_t>(read_bytes_min / layer_bytes + 1, 1, kLayersMax));
}

Result<std::unique_ptr<DeviceCase>> DeviceCase::create(const DeviceCaseOptions& options) {
  kernels::AttentionOptions attention;
  attention.shape = {.n_layers = 1, .n_kv_heads = options.n_kv_heads, .head_dim = options.head_dim};
  attention.kv.formats = options.formats;
  attention.n_heads = options.n_kv_heads * options.group;
  TQ_ASSIGN(
      const quant::BlockLayout one_layer,
      quant::BlockLayout::create(attention.shape, options.formats, attention.kv.block_tokens));
  const BlockCounts counts = count_blocks(attention.kv, options.context);
  const uint64_t seq_bytes = static_cast<uint64_t>(counts.hot) * one_layer.hot_block_bytes() +
                             static_cast<uint64_t>(counts.sealed) * one_layer.sealed_block_bytes();
  const uint64_t layer_bytes = seq_bytes * static_cast<uint64_t>(options.n_seqs);
  attention.shape.n_layers = layers_to_read(options.read_bytes_min, layer_bytes);

  TQ_ASSIGN(kernels::cuda::OwnStream stream, kernels::cuda::make_stream());
  TQ_ASSIGN(auto backend, kernels::cuda::make_device_attention(attention, stream.get()));
  // One more of each for seal().
  TQ_ASSIGN(KvArena arena,
            backend->allocate({.hot_blocks = counts.hot * options.n_seqs + 1,
                               .sealed_blocks = counts.sealed * options.n_seqs + 1}));
  std::unique_ptr<DeviceCase> made(
      new DeviceCase(options, std::move(stream), std::move(backend), std::move(arena)));
  made->layer_bytes_ = layer_bytes;
  TQ_TRY(made->fill());
  TQ_TRY(made->plan());
  return made;
}

Result<KvArena::Region> DeviceCase::rows(size_t n) {
  quant::Rng rng(options_.seed + n, quant::RngStream::kData);
  std::vector<float> values(n);
  for (float& value : values) value = static_cast<float>(rng.gaussian());
  TQ_ASSIGN(KvArena::Region region, backend_->allocate_bytes("rows", n * sizeof(float)));
  TQ_TRY(backend_->write(region.get(), std::as_bytes(std::span<const float>(values))));
  return Result<KvArena::Region>(std::move(region));
}

Result<void> DeviceCase::fill() {
  quant::Rng rng(options_.seed, quant::RngStream::kData);
  const kernels::RegionBytes bytes = kernels::arena_regions(arena_.layout(), arena_.sizes());
  std::vector<uint16_t> words(kPatternBytes / sizeof(uint16_t));
  for (uint16_t& word : words) word = quant::float_to_bf16(static_cast<float>(rng.gaussian()));
  TQ_TRY(repeat(arena_.hot(0), bytes.hot, std::as_bytes(std::span(words)), stream_.get()));
  for (uint16_t& word : words) word = static_cast<uint16_t>(rng.bits());
  TQ_TRY(repeat(arena_.codes(0), bytes.codes, std::as_bytes(std::span(words)), stream_.get()));
  if (bytes.scales > 0) {
    const std::vector<uint8_t> scales = make_scales(rng);
    TQ_TRY(repeat(reinterpret_cast<std::byte*>(arena_.scales(0)), bytes.scales,
                  std::as_bytes(std::span(scales)), stream_.get()));
    TQ_TRY(repeat(reinterpret_cast<std::byte*>(arena_.exponents(0)), bytes.exponents,
                  std::as_bytes(std::span(&kExponent, 1)), stream_.get()));
  }
  const auto kv_size =
      static_cast<size_t>(options_.n_seqs * options_.n_kv_heads * options_.head_dim);
  TQ_ASSIGN(q_, rows(kv_size * static_cast<size_t>(options_.group)));
  TQ_ASSIGN(out_, rows(kv_size * static_cast<size_t>(options_.group)));
  TQ_ASSIGN(k_, rows(kv_size));
  return {};
}

Result<void> DeviceCase::plan() {
  quant::Rng rng(options_.seed + 1, quant::RngStream::kData);
  const KvConfig kv{.formats = options_.formats};
  const BlockCounts counts = count_blocks(kv, options_.context);
  PagedBatch batch;
  batch.n_tokens = batch.n_seqs = options_.n_seqs;
  batch.hot_blocks = shuffled_ids(counts.hot * options_.n_seqs, rng);
  batch.sealed_blocks = shuffled_ids(counts.sealed * options_.n_seqs, rng);
  for (int seq = 0; seq <= options_.n_seqs; ++seq) {
    batch.token_indptr.push_back(seq);
    batch.hot_indptr.push_back(seq * counts.hot);
    batch.sealed_indptr.push_back(seq * counts.sealed);
  }
  const int n_sink_blocks = kv.sink_tokens / kv.block_tokens;
  for (int seq = 0; seq < options_.n_seqs; ++seq) {
    batch.first_position.push_back(options_.context - 1);
    for (int i = 0; i < counts.hot; ++i) {
      const int block = i < n_sink_blocks ? i : i + counts.sealed;
      batch.hot_first.push_back(block * kv.block_tokens);
    }
  }
  TQ_ASSIGN(plan_, backend_->plan(batch, arena_));
  return backend_->wait();
}

// One play to warm up, then n that count.
Result<double> DeviceCase::play(const std::function<Result<void>()>& put, int n) {
  TQ_ASSIGN(kernels::cuda::Recording recording, kernels::cuda::Recording::make(stream_.get(), put));
  TQ_TRY(recording.play(1));
  TQ_ASSIGN(const double seconds, recording.play(n));
  return seconds / n / n_layers();
}

Result<double> DeviceCase::attend_seconds(int n) {
  const auto n_floats = static_cast<size_t>(options_.n_seqs * options_.n_kv_heads * options_.group *
                                            options_.head_dim);
  return play(
      [&]() -> Result<void> {
        for (LayerIdx layer = 0; layer < n_layers(); ++layer) {
          TQ_TRY(backend_->attend({.plan = plan_,
                                   .arena = &arena_,
                                   .layer = layer,
                                   .scale = 1.0f / std::sqrt(static_cast<float>(options_.head_dim)),
                                   .q = {reinterpret_cast<const float*>(q_.get()), n_floats},
                                   .out = {reinterpret_cast<float*>(out_.get()), n_floats}}));
        }
        return {};
      },
      n);
}

Result<double> DeviceCase::append_seconds(int n) {
  const auto n_floats =
      static_cast<size_t>(options_.n_seqs * options_.n_kv_heads * options_.head_dim);
  const std::span<const float> rows{reinterpret_cast<const float*>(k_.get()), n_floats};
  return play(
      [&]() -> Result<void> {
        for (LayerIdx layer = 0; layer < n_layers(); ++layer) {
          TQ_TRY(backend_->append(
              {.plan = plan_, .arena = &arena_, .layer = layer, .k = rows, .v = rows}));
        }
        return {};
      },
      n);
}

Result<double> DeviceCase::seal_seconds(int n) {
  const kernels::SealCall call{.arena = &arena_,
                               .hot = BlockId{arena_.sizes().hot_blocks - 1},
                               .sealed = BlockId{arena_.sizes().sealed_blocks - 1}};
  TQ_TRY(backend_->seal(call));
  const auto start = std::chrono::steady_clock::now();
  for (int i = 0; i < n; ++i) TQ_TRY(backend_->seal(call));
  return std::chrono::duration<double>(std::chrono::steady_clock::now() - start).count() / n;
}

}  // namespace tq::bench
