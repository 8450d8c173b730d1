#include "tests/kernels/world.h"

#include <algorithm>
#include <cmath>
#include <cstring>
#include <numeric>
#include <stdexcept>

#include "quant/random.h"
#include "quant/rotation.h"
#include "tests/kernels/regions.h"

namespace tq::kernels::test {
namespace {

constexpr int kPoison = 0xff;  // bf16 and fp16 NaN, and the largest code

template <class T>
T need(Result<T> result) {
  if (!result.ok()) throw std::runtime_error(result.error().describe());
  return std::move(result).value();
}
void need(Result<void> result) {
  if (!result.ok()) throw std::runtime_error(result.error().describe());
}

uint64_t mix(uint64_t a, uint64_t b) {
  return (a ^ (b + 0x9e3779b97f4a7c15ull + (a << 6) + (a >> 2))) * 0xff51afd7ed558ccdull;
}

std::vector<int32_t> shuffled(int n, uint64_t seed) {
  std::vector<int32_t> ids(static_cast<size_t>(n));
  std::iota(ids.begin(), ids.end(), 0);
  quant::Rng rng(seed, quant::RngStream::kData);
  for (int i = n - 1; i > 0; --i) {
    std::swap(ids[static_cast<size_t>(i)], ids[static_cast<size_t>(rng.below(i + 1))]);
  }
  return ids;
}

}  // namespace

std::string to_string(Data data) {
  switch (data) {
    case Data::kGaussian: return "gaussian";
    case Data::kGrowing: return "growing";
    case Data::kHeavy: return "heavy";
    case Data::kEqual: return "equal";
    case Data::kTiny: return "tiny";
    case Data::kHuge: return "huge";
    case Data::kPeaked: return "peaked";
    case Data::kSpiky: return "spiky";
  }
  return "?";
}

std::vector<float> make_rows(const RowKey& key, int n_heads, int head_dim) {
  uint64_t seed =
      mix(mix(mix(key.seed, static_cast<uint64_t>(key.kind)), static_cast<uint64_t>(key.seq)),
          static_cast<uint64_t>(key.layer));
  // Growing and peaked: keys and queries of all heads point the same way, keys differ in length.
  const bool one_way =
      (key.data == Data::kGrowing || key.data == Data::kPeaked) && key.kind != Kind::kV;
  const bool same_at_all_positions = one_way || (key.data == Data::kEqual && key.kind == Kind::kK);
  if (!same_at_all_positions) seed = mix(seed, static_cast<uint64_t>(key.position) + 1);
  if (one_way) seed = mix(key.seed, static_cast<uint64_t>(key.layer));
  quant::Rng rng(seed, quant::RngStream::kData);
  std::vector<float> rows(static_cast<size_t>(n_heads) * static_cast<size_t>(head_dim));
  if (one_way) {
    for (int j = 0; j < head_dim; ++j)
      rows[static_cast<size_t>(j)] = static_cast<float>(rng.gaussian());
    for (size_t i = static_cast<size_t>(head_dim); i < rows.size(); ++i)
      rows[i] = rows[i - static_cast<size_t>(head_dim)];
    const auto position = static_cast<float>(key.position);
    const float length = key.kind == Kind::kQ ? 1.0f
                         : key.data == Data::kGrowing
                             ? 0.02f * (position + 1.0f)
                             : 1.0f / (1.0f + std::abs(position - 40.0f) / 4.0f);
    for (float& value : rows) value *= length;
    return rows;
  }
  for (float& value : rows) value = static_cast<float>(rng.gaussian());
  float factor = 1.0f;
  if (key.data == Data::kHeavy) {
    const bool heavy = key.position % 32 == 5;
    if (key.kind == Kind::kV) factor = heavy ? 1.0f / 64.0f : 1.0f;
    if (key.kind == Kind::kK && !heavy) factor = 0.1f;
    if (key.kind == Kind::kQ || (key.kind == Kind::kK && heavy)) {
      // One direction: <q, k> / sqrt(head_dim) is ln 64.
      const float size = key.kind == Kind::kQ ? 1.0f : std::log(64.0f);
      const float each = size / std::sqrt(std::sqrt(static_cast<float>(head_dim)));
      for (size_t i = 0; i < rows.size(); ++i) {
        rows[i] = i % static_cast<size_t>(head_dim) / 7 % 2 == 0 ? each : -each;
      }
    }
  }
  if (key.data == Data::kTiny && key.kind != Kind::kQ) factor = 1e-20f;
  if (key.data == Data::kHuge) factor = key.kind == Kind::kQ ? 1e-15f : 3e15f;
  if (key.data == Data::kSpiky) {
    factor = key.position % 3 == 1 && key.kind != Kind::kQ ? 0.0f : 0.05f;
    for (size_t i = 0; i < rows.size(); i += static_cast<size_t>(head_dim)) {
      rows[i + static_cast<size_t>(rng.below(head_dim))] *= 200.0f;
    }
  }
  for (float& value : rows) value *= factor;
  return rows;
}

std::vector<float> make_queries(const WorldOptions& options,
                                int seq,
                                int64_t position,
                                LayerIdx layer) {
  const auto dim = static_cast<size_t>(options.attention.shape.head_dim);
  std::vector<float> rows = make_rows({.seed = options.seed,
                                       .data = options.data,
                                       .kind = Kind::kQ,
                                       .seq = seq,
                                       .position = position,
                                       .layer = layer},
                                      options.attention.n_heads, static_cast<int>(dim));
  if (!options.whole_queries) return rows;
  for (size_t i = 0; i < rows.size(); ++i) {
    rows[i] = i % dim == 0 ? 127.0f : std::clamp(std::round(rows[i] * 64.0f), -127.0f, 127.0f);
    rows[i] /= 64.0f;
  }
  const KvConfig& kv = options.attention.kv;
  need(
      quant::Rotation::create({.kind = kv.rotation, .dim = static_cast<int>(dim), .seed = kv.seed}))
      .apply_inverse(rows);
  return rows;
}

std::vector<float> make_key_bias(const WorldOptions& options, LayerIdx layer) {
  const quant::KvShape& shape = options.attention.shape;
  quant::Rng rng(options.seed + 77 + static_cast<uint64_t>(layer), quant::RngStream::kData);
  std::vector<float> bias(static_cast<size_t>(shape.n_kv_heads * shape.head_dim));
  for (float& value : bias) value = options.key_bias * static_cast<float>(rng.gaussian());
  return bias;
}

RopePairs make_rope_pairs(const WorldOptions& options) {
  RopePairs pairs{.frequencies = {}, .magnitude = 1.1f, .interleaved = options.rope_interleaved};
  for (int i = 0; i < options.rope_pairs; ++i) {
    const double exponent = static_cast<double>(i) / options.rope_pairs;
    pairs.frequencies.push_back(static_cast<float>(std::pow(10000.0, -exponent)));
  }
  return pairs;
}

World::World(const WorldOptions& options)
    : options_(options),
      backend_(make_test_backend(options.backend, options.attention)),
      free_hot_(shuffled(options.pools.hot_blocks, options.seed + 1)),
      free_sealed_(shuffled(options.pools.sealed_blocks, options.seed + 2)),
      hot_used_(static_cast<size_t>(options.pools.hot_blocks)),
      sealed_used_(static_cast<size_t>(options.pools.sealed_blocks)) {
  arena_ = std::make_unique<KvArena>(need(backend_->allocate(options.pools)));
  if (options.key_bias != 0.0f) {
    turns_ = std::make_unique<TileTurns>(make_rope_pairs(options), 4096);
    for (LayerIdx layer = 0; layer < options.attention.shape.n_layers; ++layer) {
      key_biases_.push_back(need(KeyBias::create(make_key_bias(options, layer),
                                                 options.attention.shape.n_kv_heads, *turns_)));
    }
  }
  for (const Region region : kRegions) {
    std::ranges::fill(bytes_of(*arena_, region), std::byte{kPoison});
  }
}

BlockId World::take(std::vector<int32_t>& pool) {
  if (pool.empty()) throw std::runtime_error("the test's pool is too small");
  const BlockId id{pool.back()};
  pool.pop_back();
  return id;
}

PagedBatch World::make_batch(const std::vector<Chunk>& chunks) {
  const int block_tokens = options_.attention.kv.block_tokens;
  PagedBatch batch;
  batch.token_indptr = batch.hot_indptr = batch.sealed_indptr = {0};
  for (const Chunk& chunk : chunks) {
    Sequence& sequence = sequences_[chunk.seq];
    const int64_t end = sequence.length + chunk.n_rows;
    while (static_cast<int64_t>(sequence.blocks.size()) * block_tokens < end) {
      sequence.blocks.push_back({.sealed = false, .id = take(free_hot_)});
      hot_used_[static_cast<size_t>(raw(sequence.blocks.back().id))] = true;
    }
    batch.first_position.push_back(static_cast<int32_t>(sequence.length));
    for (size_t i = 0; i < sequence.blocks.size(); ++i) {
      if (sequence.blocks[i].sealed) {
        batch.sealed_blocks.push_back(sequence.blocks[i].id);
      } else {
        batch.hot_blocks.push_back(sequence.blocks[i].id);
        batch.hot_first.push_back(static_cast<int32_t>(i) * block_tokens);
      }
    }
    batch.n_tokens += chunk.n_rows;
    ++batch.n_seqs;
    batch.token_indptr.push_back(batch.n_tokens);
    batch.hot_indptr.push_back(static_cast<int32_t>(batch.hot_blocks.size()));
    batch.sealed_indptr.push_back(static_cast<int32_t>(batch.sealed_blocks.size()));
  }
  return batch;
}

void World::step(const std::vector<Chunk>& chunks) {
  const quant::KvShape shape = options_.attention.shape;
  const PagedBatch batch = make_batch(chunks);
  const AttnPlan* const plan = need(backend_->plan(batch, *arena_));
  const auto gather = [&](Kind kind, LayerIdx layer) {
    std::vector<float> all;
    for (const Chunk& chunk : chunks) {
      for (int row = 0; row < chunk.n_rows; ++row) {
        const int64_t position = sequences_[chunk.seq].length + row;
        const std::vector<float> one = kind == Kind::kQ
                                           ? make_queries(options_, chunk.seq, position, layer)
                                           : make_rows({.seed = options_.seed,
                                                        .data = options_.data,
                                                        .kind = kind,
                                                        .seq = chunk.seq,
                                                        .position = position,
                                                        .layer = layer},
                                                       shape.n_kv_heads, shape.head_dim);
        all.insert(all.end(), one.begin(), one.end());
      }
    }
    return all;
  };
  const int n_heads = options_.attention.n_heads;
  const auto row_size = static_cast<size_t>(n_heads * shape.head_dim);
  for (LayerIdx layer = 0; layer < shape.n_layers; ++layer) {
    const std::vector<float> k = gather(Kind::kK, layer);
    const std::vector<float> v = gather(Kind::kV, layer);
    const std::vector<float> q = gather(Kind::kQ, layer);
    std::vector<float> out(q.size(), std::nanf(""));
    need(backend_->append({.plan = plan, .arena = arena_.get(), .layer = layer, .k = k, .v = v}));
    need(backend_->attend(
        {.plan = plan,
         .arena = arena_.get(),
         .layer = layer,
         .scale = 1.0f / std::sqrt(static_cast<float>(shape.head_dim)),
         .key_bias = key_biases_.empty() ? nullptr : &key_biases_[static_cast<size_t>(layer)],
         .q = q,
         .out = out}));
    size_t at = 0;
    for (const Chunk& chunk : chunks) {
      for (int row = 0; row < chunk.n_rows; ++row, at += row_size) {
        std::vector<float>& kept = outputs_[{chunk.seq, sequences_[chunk.seq].length + row}];
        if (layer == 0) kept.clear();
        kept.insert(kept.end(), out.begin() + static_cast<ptrdiff_t>(at),
                    out.begin() + static_cast<ptrdiff_t>(at + row_size));
      }
    }
  }
  for (const Chunk& chunk : chunks) sequences_[chunk.seq].length += chunk.n_rows;
}

bool World::can_seal(int seq, int index) const {
  return index < n_full_blocks(seq) && !is_sealed(seq, index) && !free_sealed_.empty();
}

void World::seal(int seq, int index) {
  Block& block = sequences_.at(seq).blocks.at(static_cast<size_t>(index));
  const BlockId sealed = take(free_sealed_);
  need(backend_->seal({.arena = arena_.get(), .hot = block.id, .sealed = sealed}));
  sealed_used_[static_cast<size_t>(raw(sealed))] = true;
  free_hot_.insert(free_hot_.begin(), raw(block.id));
  block = {.sealed = true, .id = sealed};
}

void World::free_sequence(int seq) {
  for (const Block& block : sequences_.at(seq).blocks) {
    std::vector<int32_t>& pool = block.sealed ? free_sealed_ : free_hot_;
    pool.insert(pool.begin(), raw(block.id));
  }
  sequences_.erase(seq);
}

int64_t World::length(int seq) const {
  const auto found = sequences_.find(seq);
  return found == sequences_.end() ? 0 : found->second.length;
}

int World::n_full_blocks(int seq) const {
  return static_cast<int>(length(seq) / options_.attention.kv.block_tokens);
}

bool World::is_sealed(int seq, int index) const {
  return sequences_.at(seq).blocks.at(static_cast<size_t>(index)).sealed;
}

const std::vector<float>& World::output(int seq, int64_t position) const {
  return outputs_.at({seq, position});
}

bool World::poison_intact() const {
  const auto is_poison = [](std::byte byte) { return byte == std::byte{kPoison}; };
  bool intact = true;
  for (const Region region : kRegions) {
    const std::vector<bool>& used = region == Region::kHot ? hot_used_ : sealed_used_;
    for (int i = 0; i < n_blocks(*arena_, region); ++i) {
      if (used[static_cast<size_t>(i)]) continue;
      for_parts(*arena_, BlockId{i}, [&](const TilePlace& place) {
        intact = intact && std::ranges::all_of(part_of(*arena_, region, place), is_poison);
      });
    }
  }
  return intact;
}

}  // namespace tq::kernels::test
