// The two kinds of KvStore, and which one a name means.
#include <array>
#include <span>
#include <utility>

#include "bench/formats/kv_codec.h"
#include "bench/quality/kv_store.h"
#include "quant/float16.h"

namespace tq::bench {
namespace {

// The server's own store.
class PackedStore final : public KvStore {
 public:
  static Result<std::unique_ptr<KvStore>> create(KvFormats formats, const StoreOptions& options) {
    KvConfig kv = options.kv;
    kv.formats = formats;
    std::unique_ptr<PackedStore> store(new PackedStore(options, kv));
    TQ_TRY(store->allocate(formats));
    return std::unique_ptr<KvStore>(std::move(store));
  }

  double bits_per_value() const noexcept override {
    return attention_->layout().sealed_bits_per_value();
  }

 private:
  PackedStore(const StoreOptions& options, KvConfig kv) : KvStore(options, kv) {}

  Result<void> seal(int64_t block_idx, BlockId hot) override {
    return attention_->seal({.arena = arena_.get(), .hot = hot, .sealed = sealed_block(block_idx)});
  }
  bool moves_blocks() const noexcept override { return true; }
};

// 16-bit rows that lose in place what their codec loses.
class CodedStore final : public KvStore {
 public:
  static Result<std::unique_ptr<KvStore>> create(std::string_view k_name,
                                                 std::string_view v_name,
                                                 const StoreOptions& options) {
    const models::ModelSpec& spec = *options.spec;
    const KvCodecOptions codec{.n_layers = spec.n_layers,
                               .n_kv_heads = spec.n_kv_heads,
                               .head_dim = spec.head_dim,
                               .seed = options.kv.seed};
    KvConfig kv = options.kv;
    kv.formats = {};  // any that is sealed
    std::unique_ptr<CodedStore> store(new CodedStore(options, kv));
    TQ_ASSIGN(store->k_codec_, make_kv_codec(k_name, codec));
    TQ_ASSIGN(store->v_codec_, make_kv_codec(v_name, codec));
    TQ_TRY(store->allocate({KvFormat::kBf16, KvFormat::kBf16}));
    return std::unique_ptr<KvStore>(std::move(store));
  }

  double bits_per_value() const noexcept override {
    return (k_codec_->bits_per_value(true) + v_codec_->bits_per_value(false)) / 2;
  }

 private:
  CodedStore(const StoreOptions& options, KvConfig kv) : KvStore(options, kv) {}

  Result<void> seal(int64_t block_idx, BlockId hot) override {
    const models::ModelSpec& spec = *options_.spec;
    for (LayerIdx layer = options_.edge_layers_16; layer < spec.n_layers - options_.edge_layers_16;
         ++layer) {
      for (int head = 0; head < spec.n_kv_heads; ++head) {
        for (const bool is_key : {true, false}) {
          code({.layer = layer,
                .kv_head = head,
                .is_key = is_key,
                .first_position = block_idx * kv_.block_tokens},
               hot);
        }
      }
    }
    return {};
  }
  bool moves_blocks() const noexcept override { return false; }

  // One head's half of a block. Keys: a lane of a tile is a token; values: a lane is a dimension.
  void code(const RowPlace& place, BlockId block) {
    const quant::BlockLayout& layout = arena_->layout();
    const quant::TileShape tile = place.is_key ? layout.hot_k_tile() : layout.hot_v_tile();
    const int dim = layout.shape().head_dim;
    rows_.resize(static_cast<size_t>(layout.block_tokens()) * static_cast<size_t>(dim));
    const auto for_each = [&](auto&& visit) {
      size_t i = 0;
      for (int slot = 0; slot < layout.block_tokens(); ++slot) {
        const kernels::HotTile at = arena_->hot({.layer = place.layer,
                                                 .kv_head = place.kv_head,
                                                 .block = block,
                                                 .tile = slot / quant::kTileTokens});
        std::byte* const base = place.is_key ? at.k : at.v;
        const int token = slot % quant::kTileTokens;
        for (int d = 0; d < dim; ++d, ++i) {
          visit(base, place.is_key ? token : d, place.is_key ? d : token, rows_[i]);
        }
      }
    };
    for_each([&](const std::byte* base, int lane, int entry, float& value) {
      value = quant::bf16_to_float(static_cast<uint16_t>(tile.load(base, lane, entry)));
    });
    (place.is_key ? k_codec_ : v_codec_)->round_trip(rows_, place);
    for_each([&](std::byte* base, int lane, int entry, float value) {
      tile.store(base, lane, entry, quant::float_to_bf16(value));
    });
  }

  std::unique_ptr<KvCodec> k_codec_;
  std::unique_ptr<KvCodec> v_codec_;
  std::vector<float> rows_;  // [block_tokens, head_dim]
};

constexpr std::string_view kCodedPrefix = "coded:";

}  // namespace

Result<std::unique_ptr<KvStore>> make_kv_store(std::string_view name, const StoreOptions& options) {
  const bool coded = name.starts_with(kCodedPrefix);
  if (coded) name.remove_prefix(kCodedPrefix.size());
  if (!coded && options.edge_layers_16 == 0) {
    if (const auto formats = parse_kv_formats(name)) return PackedStore::create(*formats, options);
  }
  const size_t slash = name.find('/');
  const std::string_view k_name = name.substr(0, slash);
  const std::string_view v_name = slash == std::string_view::npos ? k_name : name.substr(slash + 1);
  return CodedStore::create(k_name, v_name, options);
}

}  // namespace tq::bench
