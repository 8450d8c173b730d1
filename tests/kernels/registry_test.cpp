// Backends by name: what is available, what each refusal says, and options out of range.
#include <catch2/catch.hpp>

#include <algorithm>

#include "kernels/device_attention.h"
#include "kernels/device_layers.h"
#include "kernels/device_select.h"
#include "kernels/layer_kernels.h"
#include "kernels/paged_attention.h"

namespace tq::kernels {
namespace {

AttentionOptions small_options() {
  AttentionOptions options;
  options.shape = {.n_layers = 1, .n_kv_heads = 2, .head_dim = 64};
  options.n_heads = 4;
  return options;
}

}  // namespace

TEST_CASE("auto is the first of the available backends, scalar the last", "[registry]") {
  const std::vector<std::string_view> names = available_backends();
  REQUIRE(!names.empty());
  CHECK(names.back() == "scalar");
  CHECK(make_backend("auto", small_options()).value()->name() == names.front());
  for (const std::string_view name : names) {
    CHECK(make_backend(name, small_options()).value()->name() == name);
  }
}

TEST_CASE("an unknown backend's error lists the known ones", "[registry]") {
  const auto backend = make_backend("sse9", small_options());
  REQUIRE(!backend.ok());
  CHECK(backend.error().code == Code::kInvalidArgument);
  CHECK(backend.error().message.find("scalar") != std::string::npos);
  CHECK(backend.error().message.find("sse9") != std::string::npos);
}

TEST_CASE("a known backend that cannot run here says why", "[registry]") {
  const std::vector<std::string_view> names = available_backends();
  for (const std::string_view name : {"avx512", "avx2", "neon", "cuda"}) {
    if (std::find(names.begin(), names.end(), name) != names.end()) continue;
    const auto backend = make_backend(name, small_options());
    REQUIRE(!backend.ok());
    INFO(backend.error().describe());
    CHECK((backend.error().code == Code::kUnsupported ||
           backend.error().code == Code::kInvalidArgument));
    CHECK(backend.error().message.find(name) != std::string::npos);
  }
}

TEST_CASE("a device's backend and layers are made by name, or say why not", "[registry]") {
  const auto check = [](const auto& scalar, const auto& cuda, const auto& unknown) {
    REQUIRE(!scalar.ok());
    CHECK(scalar.error().code == Code::kUnsupported);
    CHECK(scalar.error().message.find("ordinary memory") != std::string::npos);
    CHECK(scalar.error().message.find("avx2") == std::string::npos);  // no help on a device
    REQUIRE(!unknown.ok());
    CHECK(unknown.error().code == Code::kInvalidArgument);
    if (cuda.ok()) return;
    INFO(cuda.error().describe());
    CHECK(cuda.error().message.find("no CUDA") != std::string::npos);
    CHECK(cuda.error().message.find("available: none") != std::string::npos);
  };
  const auto cuda = make_device_backend("cuda", small_options());
  check(make_device_backend("scalar", small_options()), cuda,
        make_device_backend("sse9", small_options()));
  const auto layers = make_device_layers("cuda", nullptr);
  check(make_device_layers("scalar", nullptr), layers, make_device_layers("sse9", nullptr));
  CHECK(layers.ok() == cuda.ok());
  CHECK(make_device_layers("auto", nullptr).ok() == cuda.ok());
  const auto select = make_device_select("cuda", nullptr);
  check(make_device_select("scalar", nullptr), select, make_device_select("sse9", nullptr));
  CHECK(select.ok() == cuda.ok());
  CHECK(!find_layer_kernels("cuda").ok());
}

TEST_CASE("options out of range are refused by every backend", "[registry]") {
  for (const std::string_view name : available_backends()) {
    const auto refused = [&](auto change, std::string_view field) {
      AttentionOptions options = small_options();
      change(options);
      const auto backend = make_backend(name, options);
      return !backend.ok() && backend.error().where == field;
    };
    INFO(name);
    CHECK(refused([](auto& o) { o.n_heads = 5; }, "n_heads"));
    CHECK(refused([](auto& o) { o.n_heads = 0; }, "n_heads"));
    CHECK(refused([](auto& o) { o.n_heads = 34; }, "n_heads"));
    CHECK(refused([](auto& o) { o.n_threads = 0; }, "n_threads"));
    CHECK(refused([](auto& o) { o.n_threads = 257; }, "n_threads"));
    CHECK(refused([](auto& o) { o.shape.head_dim = 72; }, "head_dim"));
    CHECK(refused([](auto& o) { o.shape.n_kv_heads = 0; }, "n_kv_heads"));
    CHECK(refused([](auto& o) { o.kv.block_tokens = 48; }, "block_tokens"));
    CHECK(refused([](auto& o) { o.shape.head_dim = 96, o.kv.rotation = RotationKind::kHadamard; },
                  "rotation"));
  }
}

}  // namespace tq::kernels
