// The quality bench on the real model, where cmake/setup.sh has left it: what must be zero is zero,
// what must agree agrees, and worse formats come out worse.

#include <algorithm>
#include <catch2/catch.hpp>
#include <cmath>
#include <filesystem>
#include <fstream>
#include <iterator>
#include <memory>
#include <nlohmann/json.hpp>
#include <span>
#include <string>
#include <vector>

#include "bench/quality/generation.h"
#include "bench/quality/measurement.h"
#include "bench/quality/needle.h"
#include "bench/quality/subject.h"
#include "bench/quality/text_set.h"

namespace tq::bench {
namespace {

const std::string kModel =
    std::string(TQ_SOURCE_DIR) + "/.deps/models/SmolLM2-135M-Instruct.Q4_1.gguf";

// Null, with a word why, where there is no model.
std::unique_ptr<Subject> load() {
  if (!std::filesystem::exists(kModel)) {
    WARN("skipped: no model; cmake/setup.sh model");
    return nullptr;
  }
  auto loaded = Subject::load({.model_path = kModel, .n_threads = 2});
  REQUIRE(loaded.ok());
  return std::move(*loaded);
}

// English that every checkout has.
std::vector<Text> license(const Subject& subject) {
  auto texts = load_texts({std::string(TQ_SOURCE_DIR) + "/LICENSE"}, subject.tokenizer());
  REQUIRE(texts.ok());
  return std::move(*texts);
}

}  // namespace

TEST_CASE("divergence: zero for 16 bit, the same by store and codec, more for fewer bits") {
  const auto subject = load();
  if (!subject) return;
  QualityOptions options;
  options.kv = {"bf16", "tq8", "tq4", "tq3", "tq2", "tq4/tq2"};
  constexpr size_t kCoded[] = {1, 2, 3, 4};  // places of those that are measured as codecs too
  for (const size_t i : kCoded) options.kv.push_back("coded:" + options.kv[i]);
  options.contexts = {512};
  options.text_tokens = 512;
  options.config.window_tokens = 128;  // most of the context is coded
  const auto rows = measure_divergence(options, *subject, license(*subject));
  REQUIRE(rows.ok());
  REQUIRE(rows->size() == options.kv.size());
  const auto kl = [&](size_t i) { return (*rows)[i].divergence.kl_mean; };
  CHECK((*rows)[0].divergence.kl_max == 0.0);
  CHECK((*rows)[0].divergence.top1 == 1.0);
  CHECK((*rows)[0].divergence.n == 255);
  // The codec's rows meet unrounded queries and pass bf16 once more: another draw of a noise whose
  // size is the same. 255 positions tell it to a few tenths. The store rounds rows to bf16 after
  // their rotation, the reference before it, whether they are sealed or not: that adds to it.
  options.kv = {"tq8"};
  options.config.window_tokens = 512;
  const auto unsealed = measure_divergence(options, *subject, license(*subject));
  REQUIRE(unsealed.ok());
  const double rounding = unsealed->front().divergence.kl_mean;
  CHECK(rounding > 0.0);
  CHECK(rounding < 0.3 * kl(2));  // or it would hide what is compared
  const size_t n_stores = rows->size() - std::size(kCoded);
  for (size_t j = 0; j < std::size(kCoded); ++j) {
    const size_t store = kCoded[j];
    const size_t codec = n_stores + j;
    CAPTURE((*rows)[store].kv, kl(store), kl(codec), rounding);
    CHECK(std::abs(std::log((kl(codec) + rounding) / kl(store))) < 0.5);
    CHECK((*rows)[store].bits_per_value == Approx((*rows)[codec].bits_per_value).epsilon(1e-9));
  }
  for (size_t i = 1; i < 5; ++i) CHECK(kl(i) > kl(i - 1));
  CHECK(kl(5) > kl(2));
  CHECK(kl(5) < kl(4));
  // Scales of keys and values, and an exponent for 32 rows of 64.
  constexpr double kSide = (8.0 / 16 + 8.0 / 64) / 2 + 8.0 / (32 * 64);
  CHECK((*rows)[2].bits_per_value == Approx(4 + kSide).epsilon(1e-9));
  CHECK((*rows)[5].bits_per_value == Approx(3 + kSide).epsilon(1e-9));

  const nlohmann::json json = to_json(*rows);
  for (const char* key : {"kv", "context", "bits_per_value", "kl_mean", "kl_p99", "top1", "ppl"}) {
    CHECK(json[1].contains(key));
  }
  CHECK(to_svg(*rows).find("tq4") != std::string::npos);
}

TEST_CASE("needles and generation: 16 bit agrees with itself, a run with the next") {
  const auto subject = load();
  if (!subject) return;
  QualityOptions options;
  options.kv = {"bf16", "tq4"};
  options.needle_lengths = {640};
  options.generated_tokens = 16;
  options.prompt_tokens = 320;
  const auto texts = license(*subject);
  const auto first = measure_needles(options, *subject, texts);
  const auto second = measure_needles(options, *subject, texts);
  REQUIRE(first.ok());
  REQUIRE(second.ok());
  REQUIRE(first->size() == 2);
  for (size_t i = 0; i < first->size(); ++i) {
    const NeedleScore& score = (*first)[i].score;
    CHECK(score.length == 640);
    CHECK(score.mean_rank == (*second)[i].score.mean_rank);
    CHECK(score.mean_rank >= 1.0);
    // Copying numbers is what even this model does: by chance a digit would be right in a tenth.
    CHECK(score.token_top > 0.3);
  }
  const auto generation = measure_generation(options, *subject, texts);
  REQUIRE(generation.ok());
  CHECK((*generation)[0].score.identical == 1.0);
  CHECK((*generation)[0].score.same_prefix == 16.0);
}

namespace {

// What llama-perplexity --save-all-logits would write for one chunk, from our own 16-bit logits.
std::string dump_of(Subject& subject, const std::vector<TokenId>& tokens) {
  const auto context = static_cast<int64_t>(tokens.size());
  std::string bytes = "_logits_";
  const auto put = [&](auto value) {
    bytes.append(reinterpret_cast<const char*>(&value), sizeof value);
  };
  put(static_cast<int32_t>(context));
  put(static_cast<int32_t>(subject.spec().vocab_size));
  put(int32_t{1});
  for (const TokenId token : tokens) put(token);
  auto store = subject.make_store("bf16", {}, context, 0);
  REQUIRE(store.ok());
  const auto fed =
      subject.feed(**store, 0, std::span(tokens).first(tokens.size() - 1), context / 2,
                   [&](int64_t /*position*/, std::span<const float> logits) {
                     const auto [low, high] = std::minmax_element(logits.begin(), logits.end());
                     double sum = 0.0;
                     for (const float logit : logits)
                       sum += std::exp(double{logit} - double{*high});
                     const float scale = (*high - *low) / 65535.0f;
                     put(scale);
                     put(static_cast<float>(double{*low} - double{*high} - std::log(sum)));
                     for (const float logit : logits) {
                       put(static_cast<uint16_t>(std::lround((logit - *low) / scale)));
                     }
                     if (logits.size() % 2 != 0) put(uint16_t{0});
                   });
  REQUIRE(fed.ok());
  return bytes;
}

}  // namespace

TEST_CASE("quality: another engine's dump stands in the same table") {
  const auto subject = load();
  if (!subject) return;
  const auto texts = license(*subject);
  const std::vector<TokenId> tokens(texts[0].tokens.begin(), texts[0].tokens.begin() + 512);
  const auto path = std::filesystem::temp_directory_path() / "tq_quality_test_dump.bin";
  std::ofstream(path, std::ios::binary) << dump_of(*subject, tokens);
  QualityOptions options;
  options.kv = {"tq4"};
  options.peers = {{"q4_0", path.string()}};
  for (const std::string& reference : {std::string(), path.string()}) {
    options.peer_reference = reference;
    const auto rows = measure_divergence(options, *subject, {});
    REQUIRE(rows.ok());
    REQUIRE(rows->size() == 2);
    CHECK((*rows)[1].kv == "peer q4_0");
    CHECK((*rows)[1].bits_per_value == 4.5);
    CHECK((*rows)[1].divergence.n == 255);
    // Logits rounded to about 40 / 65535 / 2; KL is half the square of that.
    CHECK((*rows)[1].divergence.kl_mean < 1e-6);
    CHECK((*rows)[0].divergence.kl_mean > 1e-5);
  }
  std::filesystem::remove(path);
}

TEST_CASE("quality: what cannot be measured is an error that names it") {
  const auto subject = load();
  if (!subject) return;
  QualityOptions options;
  options.kv = {"tq5"};
  options.contexts = {512};
  options.text_tokens = 512;
  const auto unknown = measure_divergence(options, *subject, license(*subject));
  REQUIRE_FALSE(unknown.ok());
  CHECK(unknown.error().describe().find("tq5") != std::string::npos);
  options.contexts = {1 << 20};
  CHECK_FALSE(measure_divergence(options, *subject, license(*subject)).ok());
  CHECK_FALSE(load_texts({"/nonexistent/text"}, subject->tokenizer()).ok());
}

}  // namespace tq::bench
