// Sealing in vectors is sealing by the scalar specification, to the last bit, whatever the hot
// block's 16-bit rows hold: ties, subnormals, groups far below their neighbours, saturation.
#include <algorithm>
#include <catch2/catch.hpp>
#include <cmath>
#include <cstring>
#include <vector>

#include "kernels/paged_attention.h"
#include "quant/float16.h"
#include "quant/random.h"
#include "tests/kernels/backends.h"
#include "tests/kernels/bytes.h"

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

struct Sealed {
  std::vector<std::byte> codes;
  std::vector<uint8_t> scales;
};

// One block of one layer, its memory full of 0xa5 before.
Sealed seal(PagedAttention& backend, const std::vector<uint16_t>& hot) {
  KvArena arena = backend.allocate({.hot_blocks = 1, .sealed_blocks = 1}).value();
  const quant::BlockLayout& layout = backend.layout();
  std::byte* const codes = arena.codes(0, BlockId{0});
  uint8_t* const scales = arena.scales(0, BlockId{0});
  std::memcpy(arena.hot(0, BlockId{0}), hot.data(), layout.hot_bytes());
  std::memset(codes, 0xa5, layout.sealed_code_bytes());
  std::memset(scales, 0xa5, layout.sealed_scale_bytes());
  REQUIRE(backend.seal({.arena = &arena, .hot = BlockId{0}, .sealed = BlockId{0}}).ok());
  return {{codes, codes + layout.sealed_code_bytes()},
          {scales, scales + layout.sealed_scale_bytes()}};
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
          std::vector<uint16_t> hot(scalar->layout().hot_bytes() / sizeof(uint16_t));
          for (uint16_t& value : hot) {
            value = draw(rng, kind < kKinds ? kind : rng.below(kKinds), exponent);
          }
          const Sealed want = seal(*scalar, hot);
          const Sealed got = seal(*backend, hot);
          CAPTURE(name, head_dim, to_string(format), kind, exponent);
          CHECK(test::first_difference(got.codes, want.codes) == test::kNowhere);
          CHECK(test::first_difference(got.scales, want.scales) == test::kNowhere);
        }
      }
    }
  }
}

}  // namespace tq::kernels
