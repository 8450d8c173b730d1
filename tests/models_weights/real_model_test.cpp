// The SmolLM2-135M-Instruct GGUF that the product is served with: known facts of the model.
#include <catch2/catch.hpp>

#include <cmath>
#include <vector>

#include "models/weights/weight_source.h"
#include "tests/models_weights/test_files.h"

namespace tq::models {
namespace {

TEST_CASE("the SmolLM2 GGUF opens with the model's known facts", "[real]") {
  const std::string path = testing::real_model();
  if (path.empty()) {
    WARN("skipped: no model; set TQ_MODEL or fetch it to .deps/models");
    return;
  }
  const auto opened = open_model(path);
  INFO((opened ? std::string() : opened.error().describe()));
  REQUIRE(opened);
  const WeightSource& source = **opened;
  const ModelSpec& spec = source.spec();
  CHECK(spec.family == "llama");
  CHECK(spec.n_layers == 30);
  CHECK(spec.hidden == 576);
  CHECK(spec.intermediate == 1536);
  CHECK(spec.n_heads == 9);
  CHECK(spec.n_kv_heads == 3);
  CHECK(spec.head_dim == 64);
  CHECK(spec.rope_dim == 64);
  CHECK(spec.rope_theta == 100000.0);
  CHECK(spec.rope_scaling.kind == RopeScaling::Kind::kNone);
  CHECK(spec.context_max == 8192);
  CHECK(spec.vocab_size == 49152);
  CHECK(spec.tie_embeddings);
  CHECK_FALSE(spec.qkv_bias);
  CHECK_FALSE(spec.qk_norm);
  CHECK(spec.rms_eps == 1e-5f);
  CHECK(spec.chat_template.find("<|im_start|>") != std::string::npos);
  CHECK(source.rope_is_interleaved());
  CHECK(source.names().size() == 272);

  // Every tensor decodes to finite numbers, and norms and embeddings have the size of trained ones.
  for (const std::string& name : source.names()) {
    const auto weight = source.find(name);
    REQUIRE(weight);
    const int64_t width = weight->shape.back();
    std::vector<float> row(static_cast<size_t>(width));
    double squares = 0;
    for (int64_t first = 0; first < weight->n_elements(); first += width) {
      REQUIRE(dequantize(*weight, first, row));
      for (const float value : row) squares += static_cast<double>(value) * value;
    }
    const double rms = std::sqrt(squares / static_cast<double>(weight->n_elements()));
    INFO(name << " rms " << rms);
    CHECK(std::isfinite(rms));
    CHECK(rms > 1e-3);
    CHECK(rms < 100.0);
  }
}

}  // namespace
}  // namespace tq::models
