// Decodings against gguf-py's numpy reference, bit for bit: every product and sum is rounded once
// to fp32 on both sides. Only NaNs compare as a class, since scales are random bytes and NaN
// payloads are unspecified.
#include <bit>
#include <catch2/catch.hpp>
#include <cmath>
#include <cstring>
#include <limits>
#include <vector>

#include "models/weights/block_types.h"
#include "tests/models_weights/test_files.h"

namespace tq::models {
namespace {

constexpr WeightType kTypes[] = {WeightType::kF32,  WeightType::kF16,  WeightType::kBF16,
                                 WeightType::kQ8_0, WeightType::kQ4_0, WeightType::kQ4_1,
                                 WeightType::kQ5_0, WeightType::kQ5_1, WeightType::kQ4_K,
                                 WeightType::kQ5_K, WeightType::kQ6_K};

bool same(float a, float b) {
  if (std::isnan(a) || std::isnan(b)) return std::isnan(a) && std::isnan(b);
  return std::bit_cast<uint32_t>(a) == std::bit_cast<uint32_t>(b);
}

std::vector<float> reference(WeightType type) {
  const auto bytes =
      testing::read_bytes(testing::golden("decode/" + std::string(to_string(type)) + ".f32"));
  std::vector<float> values(bytes.size() / sizeof(float));
  std::memcpy(values.data(), bytes.data(), bytes.size());
  return values;
}

TEST_CASE("every type decodes to the reference's bits, from any address") {
  for (const WeightType type : kTypes) {
    INFO("type " << to_string(type));
    const std::vector<float> expected = reference(type);
    REQUIRE(expected.size() >= 1024);
    const auto raw =
        testing::read_bytes(testing::golden("decode/" + std::string(to_string(type)) + ".raw"));
    for (const size_t shift : {0u, 1u, 3u}) {  // GGUF alignment may be 1
      std::vector<std::byte> moved(raw.size() + shift);
      std::memcpy(moved.data() + shift, raw.data(), raw.size());
      const WeightView view{
          "w", type, {static_cast<int64_t>(expected.size())}, std::span(moved).subspan(shift)};
      REQUIRE(tensor_bytes(type, view.shape) == static_cast<int64_t>(raw.size()));
      std::vector<float> got(expected.size(), -7.0f);
      REQUIRE(dequantize(view, 0, got));
      size_t n_different = 0;
      for (size_t i = 0; i < got.size(); ++i) n_different += same(got[i], expected[i]) ? 0 : 1;
      CHECK(n_different == 0);
    }
  }
}

TEST_CASE("a slice decodes to the same values and touches nothing else") {
  for (const WeightType type : kTypes) {
    INFO("type " << to_string(type));
    const std::vector<float> expected = reference(type);
    const auto raw =
        testing::read_bytes(testing::golden("decode/" + std::string(to_string(type)) + ".raw"));
    const auto n_elements = static_cast<int64_t>(expected.size());
    const WeightView view{"w", type, {n_elements}, raw};
    const int64_t block = block_shape(type).elements;
    for (const int64_t first : {int64_t{0}, block, 2 * block, n_elements - 2 * block}) {
      std::vector<float> got(static_cast<size_t>(2 * block + 2), 123.5f);
      REQUIRE(dequantize(view, first, std::span(got).subspan(1, static_cast<size_t>(2 * block))));
      CHECK(got.front() == 123.5f);
      CHECK(got.back() == 123.5f);
      for (int64_t i = 0; i < 2 * block; ++i) {
        REQUIRE(same(got[static_cast<size_t>(i + 1)], expected[static_cast<size_t>(first + i)]));
      }
    }
    CHECK(dequantize(view, n_elements, {}));  // nothing of nothing
  }
}

TEST_CASE("a slice outside the tensor or off its blocks is refused by name") {
  const std::vector<std::byte> raw(34 * 4);
  const WeightView view{"some.weight", WeightType::kQ8_0, {2, 64}, raw};
  std::vector<float> out(64);
  for (const int64_t first :
       {int64_t{-32}, int64_t{96}, int64_t{1} << 62, std::numeric_limits<int64_t>::min()}) {
    const auto result = dequantize(view, first, out);
    REQUIRE_FALSE(result);
    CHECK(result.error().code == Code::kInvalidArgument);
    CHECK(result.error().where == "some.weight");
  }
  CHECK_FALSE(dequantize(view, 16, out));
  CHECK_FALSE(dequantize(view, 0, std::span(out).first(48)));
  CHECK(dequantize(view, 64, out));
}

TEST_CASE("tensor sizes refuse what overflows or cuts a block") {
  constexpr int64_t kHuge = int64_t{1} << 40;
  CHECK(tensor_bytes(WeightType::kF32, std::vector<int64_t>{3, 5}) == 60);
  CHECK(tensor_bytes(WeightType::kF32, std::vector<int64_t>{}) == 4);
  CHECK(tensor_bytes(WeightType::kBF16, std::vector<int64_t>{0, 7}) == 0);
  CHECK(tensor_bytes(WeightType::kQ6_K, std::vector<int64_t>{2, 512}) == 4 * 210);
  CHECK_FALSE(tensor_bytes(WeightType::kQ4_0, std::vector<int64_t>{32, 31}));
  CHECK_FALSE(tensor_bytes(WeightType::kF32, std::vector<int64_t>{kHuge, kHuge}));
  CHECK_FALSE(tensor_bytes(WeightType::kF32, std::vector<int64_t>{kHuge, int64_t{1} << 22}));
  CHECK_FALSE(tensor_bytes(WeightType::kF32, std::vector<int64_t>{-1}));
}

}  // namespace
}  // namespace tq::models
