// PackedLinear's sizes, and what it refuses.

#include <catch2/catch.hpp>
#include <string>

#include "kernels/layer_kernels.h"
#include "kernels/linear.h"

namespace tq::kernels {

TEST_CASE("codes take their own bits and no more") {
  const auto bits = [](PackedType type) {
    auto linear = PackedLinear::create(32, 96, type);
    REQUIRE(linear.ok());
    return static_cast<double>(linear->bytes()) * 8 / (32 * 96);
  };
  CHECK(bits(PackedType::kQ4_0) == 4.5);
  CHECK(bits(PackedType::kQ4_1) == 5.0);
  CHECK(bits(PackedType::kQ5_1) == 6.0);
  CHECK(bits(PackedType::kQ6_K) == 7.0);
  CHECK(bits(PackedType::kQ8_0) == 8.5);
}

TEST_CASE("impossible layers and unknown kernels are errors") {
  CHECK(PackedLinear::create(0, 8, PackedType::kF32).error().code == Code::kInvalidArgument);
  CHECK(PackedLinear::create(8, -1, PackedType::kF32).error().code == Code::kInvalidArgument);
  CHECK(PackedLinear::create(int64_t{1} << 40, 8, PackedType::kBf16).error().code ==
        Code::kInvalidArgument);
  CHECK(PackedLinear::create(16, 48, PackedType::kQ4_0).error().code == Code::kInvalidArgument);
  const auto unknown = find_layer_kernels("sse9");
  REQUIRE(!unknown.ok());
  CHECK(unknown.error().message.find("sse9") != std::string::npos);
}

}  // namespace tq::kernels
