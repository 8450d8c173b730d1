// The KV store's coder: rotated rows in tiles of 32, which share an exponent, coded by RowCodec.
#include <algorithm>
#include <cstddef>
#include <cstdint>
#include <memory>
#include <span>
#include <utility>
#include <vector>

#include "bench/formats/formats.h"
#include "bench/formats/parts.h"
#include "config/check.h"
#include "quant/block_layout.h"
#include "quant/row_codec.h"

namespace tq::bench {
namespace {

using quant::RowCodec;

// Rows come rotated. The last tile may be short.
class StoreFormat final : public KvCodec {
 public:
  StoreFormat(const RowCodec& k_codec, const RowCodec& v_codec)
      : k_codec_(k_codec), v_codec_(v_codec) {}

  double bits_per_value(bool is_key) const noexcept override {
    constexpr double kExponentBits = 8.0;
    const RowCodec& codec = codec_of(is_key);
    return codec.bits_per_value() + kExponentBits / (quant::kTileTokens * codec.shape().dim);
  }

  void round_trip(std::span<float> rows, const RowPlace& place) override {
    const RowCodec& codec = codec_of(place.is_key);
    const size_t tile = quant::kTileTokens * static_cast<size_t>(codec.shape().dim);
    for (size_t first = 0; first < rows.size(); first += tile) {
      round_tile(codec, rows.subspan(first, std::min(tile, rows.size() - first)));
    }
  }

 private:
  const RowCodec& codec_of(bool is_key) const noexcept { return is_key ? k_codec_ : v_codec_; }

  static void round_tile(const RowCodec& codec, std::span<float> rows) {
    const auto dim = static_cast<size_t>(codec.shape().dim);
    std::vector<uint8_t> codes(dim);
    std::vector<uint8_t> scales(static_cast<size_t>(codec.shape().n_groups()));
    const uint8_t exponent = quant::shared_exponent(largest_magnitude(rows));
    for (size_t first = 0; first < rows.size(); first += dim) {
      const std::span<float> row = rows.subspan(first, dim);
      TQ_CHECK(codec.encode(row, exponent, codes, scales).ok(), "finite rows");
      codec.decode(codes, scales, exponent, row);
    }
  }

  RowCodec k_codec_;
  RowCodec v_codec_;
};

}  // namespace

MadeCodec make_store(const KvCodecOptions& options, int bits) {
  const int dim = options.head_dim;
  TQ_ASSIGN(const RowCodec k_codec,
            RowCodec::create({.dim = dim, .bits = bits, .group = quant::kKeyGroup}));
  TQ_ASSIGN(const RowCodec v_codec,
            RowCodec::create({.dim = dim, .bits = bits, .group = quant::kValueGroup}));
  return make_rotated(std::unique_ptr<KvCodec>(std::make_unique<StoreFormat>(k_codec, v_codec)),
                      options);
}

}  // namespace tq::bench
