// Formats on rows whose decoded values are known by hand.
#include <algorithm>
#include <catch2/catch.hpp>
#include <cmath>
#include <cstddef>
#include <cstdint>
#include <memory>
#include <span>
#include <string_view>
#include <vector>

#include "bench/formats/kv_codec.h"
#include "quant/random.h"

using tq::bench::KvCodec;
using tq::bench::make_kv_codec;
using tq::bench::RowPlace;
using tq::quant::Rng;
using tq::quant::RngStream;

namespace {

constexpr uint64_t kSeed = 4003;
constexpr int kDim = 64;
constexpr size_t kTokens = 32;
constexpr RowPlace kKeys{.is_key = true};
constexpr RowPlace kValues{.is_key = false};

using Rows = std::vector<float>;  // [kTokens, kDim]

Rows round_trip(KvCodec& codec, Rows rows, const RowPlace& place) {
  codec.round_trip(rows, place);
  return rows;
}

Rows round_trip(std::string_view name, const Rows& rows, const RowPlace& place) {
  const auto codec = make_kv_codec(name, {.head_dim = kDim}).value();
  return round_trip(*codec, rows, place);
}

// First values of a block of a format, the others zero.
void check_block(std::string_view name, const Rows& values, const Rows& decoded) {
  CAPTURE(name);
  Rows rows(kTokens * kDim, 0.0f);
  std::copy(values.begin(), values.end(), rows.begin());
  const Rows got = round_trip(name, rows, kKeys);
  for (size_t i = 0; i < decoded.size(); ++i) {
    CAPTURE(i, values[i]);
    CHECK(got[i] == decoded[i]);
  }
}

template <class Value>
Rows rows_of(Value value) {
  Rows rows(kTokens * kDim);
  for (size_t t = 0; t < kTokens; ++t) {
    for (size_t j = 0; j < kDim; ++j) rows[t * kDim + j] = static_cast<float>(value(t, j));
  }
  return rows;
}

double distance2(const Rows& a, const Rows& b) {
  double sum = 0.0;
  for (size_t i = 0; i < a.size(); ++i) sum += std::pow(static_cast<double>(a[i]) - b[i], 2);
  return sum;
}

}  // namespace

TEST_CASE("q8_0 is ggml's", "[blocks]") {
  // max 127: scale 1, halves away from zero.
  check_block("q8_0", {-127.0f, 0.4f, 0.5f, -1.5f, 2.49f, 126.6f},
              {-127.0f, 0.0f, 1.0f, -2.0f, 2.0f, 127.0f});
  // max 1: codes from 1/127, decoded by its fp16, 0x2008 = 2^-7 (1 + 8/1024) = 0.00787353515625.
  check_block("q8_0", {1.0f, -0.5f}, {127 * 0.00787353515625f, -64 * 0.00787353515625f});
}

TEST_CASE("q4_0 is ggml's", "[blocks]") {
  // Largest magnitude -8: scale 1, floor(x + 8.5) - 8, at most 7.
  check_block("q4_0", {-8.0f, 7.6f, 0.49f, 0.5f, -0.5f, -0.51f, 7.4f},
              {-8.0f, 7.0f, 0.0f, 1.0f, 0.0f, -1.0f, 7.0f});
  // Largest magnitude +4: scale -0.5, so that 4 is exact and -4 is cut to -3.5.
  check_block("q4_0", {4.0f, -4.0f, 1.0f, 0.3f, -0.2f}, {4.0f, -3.5f, 1.0f, 0.5f, 0.0f});
  // Scale 0.1 decodes by its fp16, 0x2e66 = 0.0999755859375.
  check_block("q4_0", {-0.8f, 0.3f}, {-8 * 0.0999755859375f, 3 * 0.0999755859375f});
}

TEST_CASE("fp8 and bf16 round to nearest even", "[blocks]") {
  // e4m3 steps: 1/8 in [1, 2), 32 in [256, 448], 2^-9 below 2^-6.
  check_block("fp8", {1.0625f, 1.1875f, -300.0f, 1000.0f, 0x1p-10f, 0x1.8p-9f, -0x1.1p-10f},
              {1.0f, 1.25f, -288.0f, 448.0f, 0.0f, 0x1p-8f, -0x1p-9f});
  check_block("bf16", {1.0f + 0x1p-8f, 1.0f + 0x1.8p-7f}, {1.0f, 1.0f + 0x1p-6f});
}

TEST_CASE("nvfp4 decodes to e2m1 multiples of its scale", "[blocks]") {
  // The largest of the first block, 6, makes the tensor's scale 16 x 6 / (448 x 6) = 1/28, and the
  // block's 28 = 1.75 x 2^4 of it: their product is 1 to a rounding of floats.
  const Rows values = {6.0f, -5.2f, 2.4f, 2.6f, 0.2f, -0.3f, 1.3f, 3.6f};
  const Rows decoded = {6.0f, -6.0f, 2.0f, 3.0f, 0.0f, -0.5f, 1.5f, 4.0f};
  Rows rows(kTokens * kDim, 0.0f);
  std::copy(values.begin(), values.end(), rows.begin());
  const Rows got = round_trip("nvfp4", rows, kKeys);
  for (size_t i = 0; i < values.size(); ++i) CHECK(got[i] == Approx(decoded[i]).epsilon(1e-6));
}

TEST_CASE("kivi groups keys by channel and values by token", "[blocks]") {
  // Each channel has an offset of its own, and 16 steps over the tokens.
  const Rows by_channel = rows_of([](size_t t, size_t j) { return 16.0 * j + t % 16; });
  CHECK(round_trip("kivi4", by_channel, kKeys) == by_channel);
  CHECK(round_trip("kivi4", by_channel, kValues) != by_channel);
  const Rows by_token = rows_of([](size_t t, size_t j) { return 16.0 * t + j % 16; });
  CHECK(round_trip("kivi4", by_token, kValues) == by_token);
  CHECK(round_trip("int4_minmax", by_token, kKeys) == by_token);
  CHECK(round_trip("kivi4", by_token, kKeys) != by_token);
}

// The least scale is 2^-17 of the exponent, and half of that is the least that is coded.
TEST_CASE("rows of the store share the exponent of their tile, and no other", "[blocks]") {
  INFO("seed " << kSeed);
  Rng rng(kSeed, RngStream::kData);
  const Rows small = rows_of([&](size_t, size_t) { return 1e-6 * rng.gaussian(); });
  Rows large = small;
  for (size_t j = 0; j < kDim; ++j) large[j] = 1.0f;
  const auto codec = make_kv_codec("tq4", {.head_dim = kDim}).value();
  for (const RowPlace& place : {kKeys, kValues}) {
    CAPTURE(place.is_key);
    const Rows alone = round_trip(*codec, small, place);
    CHECK(distance2(alone, small) < 0.01 * distance2(small, Rows(small.size(), 0.0f)));
    const Rows shared = round_trip(*codec, large, place);
    CHECK(std::any_of(shared.begin(), shared.begin() + kDim, [](float x) { return x != 0.0f; }));
    CHECK(std::all_of(shared.begin() + kDim, shared.end(), [](float x) { return x == 0.0f; }));
    Rows both = large;
    both.insert(both.end(), small.begin(), small.end());
    codec->round_trip(both, place);
    CHECK(std::equal(shared.begin(), shared.end(), both.begin()));
    CHECK(std::equal(alone.begin(), alone.end(), both.begin() + std::ssize(shared)));
  }
}

TEST_CASE("rows of the store may have any size", "[blocks]") {
  INFO("seed " << kSeed);
  for (const char* name : {"tq8", "tq4", "tq3", "tq2"}) {
    for (const RowPlace& place : {kKeys, kValues}) {
      CAPTURE(name, place.is_key);
      const auto scaled = [&](float size) {
        Rng rng(kSeed, RngStream::kData);
        const Rows rows = rows_of([&](size_t, size_t) { return size * rng.gaussian(); });
        Rows got = round_trip(name, rows, place);
        for (float& value : got) value /= size;
        return got;
      };
      // Powers of two, so that every rounding is the same one.
      const Rows usual = scaled(1.0f);
      CHECK(scaled(0x1p-40f) == usual);
      CHECK(scaled(0x1p+40f) == usual);
    }
  }
}

TEST_CASE("outlier channels get the wider codes", "[blocks]") {
  INFO("seed " << kSeed);
  Rng rng(kSeed, RngStream::kData);
  const auto is_outlier = [](size_t j) { return j % 4 == 1; };
  const Rows rows =
      rows_of([&](size_t, size_t j) { return (is_outlier(j) ? 8.0 : 1.0) * rng.gaussian(); });
  const Rows got = round_trip("tq2.5", rows, kKeys);
  double off[2] = {};
  double norm[2] = {};
  for (size_t i = 0; i < rows.size(); ++i) {
    const size_t part = is_outlier(i % kDim) ? 1 : 0;
    off[part] += std::pow(static_cast<double>(got[i]) - rows[i], 2);
    norm[part] += std::pow(static_cast<double>(rows[i]), 2);
  }
  // D / (1 - D) at 3 bits of 16 and 2 bits of 48 dimensions: 0.031 and 0.126; 512 and 1536 values.
  CHECK(off[1] / norm[1] == Approx(0.031).epsilon(0.2));
  CHECK(off[0] / norm[0] == Approx(0.126).epsilon(0.2));
}
