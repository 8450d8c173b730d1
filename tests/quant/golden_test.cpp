#include <algorithm>
#include <catch2/catch.hpp>
#include <cmath>
#include <cstring>
#include <fstream>
#include <map>
#include <set>
#include <string>
#include <vector>

#include "quant/bitpack.h"
#include "quant/block_layout.h"
#include "quant/codebook.h"
#include "quant/random.h"
#include "quant/rotation.h"
#include "quant/row_codec.h"
#include "quant/turbo_ip.h"
#include "quant/turbo_mse.h"
#include "tests/quant/support.h"

using namespace tq::quant;

namespace {

using Bytes = std::vector<std::byte>;

constexpr int kDims[] = {64, 80, 128};

// tests/golden/quant/golden.txt, and which of its entries were compared.
class Golden {
 public:
  Golden() {
    std::ifstream file(TQ_SOURCE_DIR "/tests/golden/quant/golden.txt");
    std::string name, hex;
    while (file >> name >> hex) {
      Bytes bytes;
      for (size_t i = 0; i + 1 < hex.size(); i += 2) {
        bytes.push_back(static_cast<std::byte>(std::stoi(hex.substr(i, 2), nullptr, 16)));
      }
      entries_[name] = bytes;
    }
    REQUIRE(!entries_.empty());
  }
  const Bytes& operator[](const std::string& name) {
    INFO(name);
    REQUIRE(entries_.count(name) == 1);
    compared_.insert(name);
    return entries_.at(name);
  }
  bool all_compared() const { return compared_.size() == entries_.size(); }

 private:
  std::map<std::string, Bytes> entries_;
  std::set<std::string> compared_;
};

template <class T>
void append(Bytes& bytes, const T& value) {
  const auto* data = reinterpret_cast<const std::byte*>(&value);
  bytes.insert(bytes.end(), data, data + sizeof value);
}

template <class T>
Bytes bytes_of(const std::vector<T>& values) {
  Bytes bytes;
  for (const T& value : values) append(bytes, value);
  return bytes;
}

std::string key(std::initializer_list<std::string> parts) {
  std::string text;
  for (const std::string& part : parts) text += (text.empty() ? "" : ".") + part;
  return text;
}

std::vector<float> golden_rows(uint64_t seed, size_t n) {
  Rng rng(seed, RngStream::kData);
  return testing::gaussian(rng, n);
}

void compare_random(Golden& golden) {
  Rng bits(42, RngStream::kData);
  std::vector<uint64_t> words(8);
  for (uint64_t& word : words) word = bits.bits();
  CHECK(bytes_of(words) == golden["rng.bits"]);
  Rng normal(42, RngStream::kQrMatrix);
  std::vector<double> values(64);
  for (double& value : values) value = normal.gaussian();
  CHECK(bytes_of(values) == golden["rng.gaussian"]);
}

void compare_codebooks(Golden& golden) {
  for (const int dim : kDims) {
    for (int bits = 1; bits <= 4; ++bits) {
      CAPTURE(dim, bits);
      const Codebook book = make_codebook(dim, bits).value();
      const Bytes& expected = golden[key({"codebook", std::to_string(dim), std::to_string(bits)})];
      REQUIRE(expected.size() == 8 * book.centroids.size());
      for (size_t k = 0; k < book.centroids.size(); ++k) {
        double centroid;
        std::memcpy(&centroid, expected.data() + 8 * k, 8);
        // Lloyd's iteration stalls where a step is an ulp, some hundred ulp from the fixed point.
        CHECK(std::abs(book.centroids[k] - centroid) < 1e-12);
      }
    }
  }
}

void compare_rows(Golden& golden, int dim, const Rotation& rotation) {
  const auto n = static_cast<size_t>(dim);
  std::vector<float> rows = golden_rows(1000 + static_cast<uint64_t>(dim), 2 * n);
  rotation.apply(rows);
  for (size_t i = 0; i < 2; ++i) {
    const std::vector<float> row(rows.begin() + static_cast<ptrdiff_t>(i * n),
                                 rows.begin() + static_cast<ptrdiff_t>((i + 1) * n));
    const std::string at = key({std::to_string(dim), std::to_string(i)});
    CHECK(bytes_of(row) == golden["rotated." + at]);
    float largest = 0.0f;
    for (const float value : row) largest = std::max(largest, std::abs(value));
    for (const int bits : {2, 3, 4, 8}) {
      for (const int group : {16, 64}) {
        CAPTURE(at, bits, group);
        const RowCodec codec = RowCodec::create({.dim = dim, .bits = bits, .group = group}).value();
        std::vector<uint8_t> codes(n);
        std::vector<uint8_t> scales(static_cast<size_t>(codec.shape().n_groups()));
        const uint8_t exponent = shared_exponent(largest);
        REQUIRE(codec.encode(row, exponent, codes, scales).ok());
        Bytes bytes(1 + scales.size() + packed_bytes(n, bits));
        bytes[0] = std::byte{exponent};
        std::memcpy(&bytes[1], scales.data(), scales.size());
        pack_codes(codes, bits, std::span(bytes).subspan(1 + scales.size()));
        CHECK(bytes == golden[key({"row", at, std::to_string(bits), std::to_string(group)})]);
      }
    }
  }
}

void compare_quantisers(Golden& golden, int dim) {
  const std::vector<float> row =
      golden_rows(2000 + static_cast<uint64_t>(dim), static_cast<size_t>(dim));
  for (int bits = 1; bits <= 5; ++bits) {
    const TurboMseRows rows =
        TurboMse::create({.dim = dim, .bits = bits, .seed = 7}).value().encode(row).value();
    Bytes bytes = rows.codes;
    append(bytes, rows.scales[0]);
    CAPTURE(dim, bits);
    CHECK(bytes == golden[key({"mse", std::to_string(dim), std::to_string(bits)})]);
  }
  for (int bits = 2; bits <= 4; ++bits) {
    const TurboIpRows rows =
        TurboIp::create({.dim = dim, .bits = bits, .seed = 7}).value().encode(row).value();
    Bytes bytes = rows.codes;
    append(bytes, rows.norms[0]);
    append(bytes, rows.gammas[0]);
    CAPTURE(dim, bits);
    CHECK(bytes == golden[key({"ip", std::to_string(dim), std::to_string(bits)})]);
  }
}

void compare_tiles(Golden& golden) {
  for (const TileShape tile :
       {TileShape{32, 64, 4}, TileShape{64, 32, 4}, TileShape{32, 80, 3}, TileShape{80, 32, 3},
        TileShape{32, 64, 2}, TileShape{32, 64, 8}, TileShape{32, 64, 16}}) {
    Rng rng(static_cast<uint64_t>(tile.lanes * 1000 + tile.depth), RngStream::kData);
    Bytes bytes(tile.bytes());
    for (int lane = 0; lane < tile.lanes; ++lane) {
      for (int e = 0; e < tile.depth; ++e) {
        tile.store(bytes.data(), lane, e, static_cast<uint32_t>(rng.bits() >> (64 - tile.bits)));
      }
    }
    CAPTURE(tile.lanes, tile.depth, tile.bits);
    CHECK(bytes == golden[key({"tile", std::to_string(tile.lanes), std::to_string(tile.depth),
                               std::to_string(tile.bits)})]);
  }
}

}  // namespace

TEST_CASE("seeds give the bytes that an independent program computed", "[golden]") {
  Golden golden;
  compare_random(golden);
  compare_codebooks(golden);
  for (const int dim : kDims) {
    compare_rows(golden, dim, Rotation::create({.dim = dim, .seed = 7}).value());
    compare_quantisers(golden, dim);
  }
  compare_tiles(golden);
  CHECK(golden.all_compared());
}
