// Sealing in vectors is sealing by the scalar specification, to the last bit, whatever the hot
// block's 16-bit rows hold: ties, subnormals, groups far below their neighbours, saturation.
#include <algorithm>
#include <catch2/catch.hpp>
#include <cmath>
#include <span>
#include <vector>

#include "kernels/paged_attention.h"
#include "quant/float16.h"
#include "quant/random.h"
#include "tests/kernels/backends.h"
#include "tests/kernels/bytes.h"
#include "tests/kernels/regions.h"

namespace tq::kernels {
namespace {

constexpr uint64_t kSeed = 20261124;
constexpr int kKinds = 10;

// A bf16 value of this exponent and seven bits of mantissa, of either sign.
uint16_t make_value(quant::Rng& rng, int exponent, int mantissa) {
  const int sign = rng.below(2) << 15;
  return static_cast<uint16_t>(sign | std::clamp(exponent, 0, 254) << 7 | mantissa);
}

uint16_t draw(quant::Rng& rng, int kind, int exponent) {
  switch (kind) {
    case 0:
      return quant::float_to_bf16(std::ldexp(static_cast<float>(rng.gaussian()), exponent - 127));
    case 1: return make_value(rng, exponent - rng.below(20), rng.below(128));    // many magnitudes
    case 2: return make_value(rng, exponent - rng.below(4), rng.below(4) * 32);  // ties
    case 3: return make_value(rng, exponent, 0x40);                              // all of one size
    case 4:  // one outlier among groups at the end of the scales' range
      return make_value(rng, exponent - (rng.below(200) == 0 ? 0 : 16 + rng.below(4)),
                        rng.below(128));
    case 5: return make_value(rng, 250 + rng.below(5), rng.below(128));  // the exponent saturates
    case 6: return make_value(rng, 0, rng.below(128));                   // subnormals
    case 7: return rng.below(3) == 0 ? make_value(rng, exponent, rng.below(128)) : uint16_t{0};
    case 8: return make_value(rng, 27 - rng.below(3), rng.below(128));  // around 2^-100
    default: return make_value(rng, exponent - (rng.below(64) == 0 ? 0 : 3), rng.below(16) * 8);
  }
}

// The sealed memory after one block was sealed into it, region after region, full of 0xa5 before.
// hot: the block's parts.
std::vector<std::byte> seal(PagedAttention& backend, const std::vector<uint16_t>& hot) {
  KvArena arena = backend.allocate({.hot_blocks = 1, .sealed_blocks = 1}).value();
  const auto rows = std::as_bytes(std::span(hot));
  size_t at = 0;
  test::for_parts(arena, BlockId{0}, [&](const TilePlace& place) {
    const auto part = test::part_of(arena, test::Region::kHot, place);
    std::ranges::copy(rows.subspan(at, part.size()), part.begin());
    at += part.size();
  });
  std::vector<std::byte> sealed;
  for (const test::Region region : test::kRegions) {
    if (region == test::Region::kHot) continue;
    std::ranges::fill(test::bytes_of(arena, region), std::byte{0xa5});
  }
  REQUIRE(backend.seal({.arena = &arena, .hot = BlockId{0}, .sealed = BlockId{0}}).ok());
  for (const test::Region region : test::kRegions) {
    if (region == test::Region::kHot) continue;
    const auto bytes = test::bytes_of(arena, region);
    sealed.insert(sealed.end(), bytes.begin(), bytes.end());
  }
  return sealed;
}

}  // namespace

TEST_CASE("every backend seals any rows to the same bytes", "[seal]") {
  INFO("seed " << kSeed);
  quant::Rng rng(kSeed, quant::RngStream::kData);
  for (const std::string& name : test::backends_under_test()) {
    if (name == "scalar") continue;
    for (const int head_dim : {64, 80, 96, 128, 256}) {
      for (const KvFormat format :
           {KvFormat::kTq8, KvFormat::kTq4, KvFormat::kTq3, KvFormat::kTq2}) {
        AttentionOptions options;
        options.shape = {.n_layers = 1, .n_kv_heads = 2, .head_dim = head_dim};
        options.kv.formats = {format, format};
        options.kv.block_tokens = 64;
        options.n_heads = 2;
        options.n_threads = 3;
        const auto scalar = test::make_test_backend("scalar", options);
        const auto backend = test::make_test_backend(name, options);
        for (int kind = 0; kind <= kKinds; ++kind) {  // the last one mixes them
          const int exponent = 40 + rng.below(200);
          const quant::BlockLayout& layout = scalar->layout();
          std::vector<uint16_t> hot(layout.hot_block_bytes() / sizeof(uint16_t));
          for (uint16_t& value : hot) {
            value = draw(rng, kind < kKinds ? kind : rng.below(kKinds), exponent);
          }
          const auto want = seal(*scalar, hot);
          const auto got = seal(*backend, hot);
          CAPTURE(name, head_dim, to_string(format), kind, exponent);
          CHECK(test::first_difference(got, want) == test::kNowhere);
        }
      }
    }
  }
}

}  // namespace tq::kernels
