#include <catch2/catch.hpp>
#include <chrono>
#include <cmath>
#include <cstdint>
#include <cstdio>
#include <memory>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "bench/formats/kv_codec.h"
#include "quant/random.h"

using tq::bench::kv_codecs;
using tq::bench::KvCodec;
using tq::bench::KvCodecEntry;
using tq::bench::KvCodecOptions;
using tq::bench::make_kv_codec;
using tq::bench::RowPlace;
using tq::quant::Rng;
using tq::quant::RngStream;

namespace {

constexpr uint64_t kSeed = 4002;
constexpr int kBlock = 32;

std::vector<float> gaussian(int n, double size) {
  Rng rng(kSeed, RngStream::kData);
  std::vector<float> values(static_cast<size_t>(n));
  for (float& value : values) value = static_cast<float>(size * rng.gaussian());
  return values;
}

std::unique_ptr<KvCodec> codec_of(std::string_view name, int dim) {
  return make_kv_codec(name, {.n_layers = 2, .n_kv_heads = 2, .head_dim = dim}).value();
}

std::vector<float> round_trip(KvCodec& codec, std::vector<float> rows, int dim, bool is_key) {
  const auto block = static_cast<size_t>(kBlock * dim);
  for (size_t i = 0; i < rows.size(); i += block) {
    codec.round_trip(std::span(rows).subspan(i, block),
                     {.layer = 1,
                      .kv_head = 1,
                      .is_key = is_key,
                      .first_position = static_cast<int64_t>(i) / dim});
  }
  return rows;
}

struct Error {
  double mean = 0.0;      // |x - x~|^2 / |x|^2 over all rows
  double interval = 0.0;  // 4 standard errors of it
};

Error error_of(std::span<const float> got, std::span<const float> want, int dim) {
  const auto n = want.size() / static_cast<size_t>(dim);
  double off = 0.0, off2 = 0.0, norm = 0.0;
  for (size_t i = 0; i < n; ++i) {
    double row = 0.0;
    for (size_t j = i * static_cast<size_t>(dim); j < (i + 1) * static_cast<size_t>(dim); ++j) {
      row += std::pow(static_cast<double>(got[j]) - want[j], 2);
      norm += static_cast<double>(want[j]) * want[j];
    }
    off += row;
    off2 += row * row;
  }
  const auto rows = static_cast<double>(n);
  const double spread = std::sqrt((off2 / rows - off * off / rows / rows) / rows);
  return {.mean = off / norm, .interval = 4.0 * spread * rows / norm};
}

Error measure(std::string_view name, int dim, int n_rows, double size) {
  const std::vector<float> rows = gaussian(n_rows * dim, size);
  const std::unique_ptr<KvCodec> codec = codec_of(name, dim);
  return error_of(round_trip(*codec, rows, dim, true), rows, dim);
}

}  // namespace

// A few seconds. The table of bench/formats/README.md.
TEST_CASE("print what every format costs on Gaussian rows", "[.table]") {
  std::printf("| format | bits, d=64 | MSE, d=64 | bits, d=128 | MSE, d=128 | rows/s, d=64 |\n");
  std::printf("|---|---|---|---|---|---|\n");
  for (const KvCodecEntry& entry : kv_codecs()) {
    constexpr int kRows = 32768;
    const auto start = std::chrono::steady_clock::now();
    const Error at_64 = measure(entry.name, 64, kRows, 1.0);
    const std::chrono::duration<double> took = std::chrono::steady_clock::now() - start;
    const Error at_128 = measure(entry.name, 128, kRows, 1.0);
    std::printf("| `%s` | %.4g | %.5f | %.4g | %.5f | %.0f |\n", std::string(entry.name).c_str(),
                codec_of(entry.name, 64)->bits_per_value(), at_64.mean,
                codec_of(entry.name, 128)->bits_per_value(), at_128.mean, kRows / took.count());
    std::fflush(stdout);
  }
}
