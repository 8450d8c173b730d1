// Token ids equal those of PyPI tokenizers and sentencepiece on every line of the golden texts.

#include <catch2/catch.hpp>
#include <cstdlib>
#include <filesystem>
#include <nlohmann/json.hpp>

#include "models/tokenizer/load.h"
#include "models/weights/gguf_vocab.h"
#include "tests/models_text/tokenizer_golden.h"

namespace tq::models {
namespace {

constexpr EncodeOptions kPlain = {.add_special = false, .parse_special = true};

std::unique_ptr<Tokenizer> load_json(const std::string& name) {
  const std::string json = golden::read(name + ".tokenizer.json");
  auto tokenizer = from_tokenizer_json({.tokenizer_json = json});
  INFO((tokenizer.ok() ? "" : tokenizer.error().describe()));
  REQUIRE(tokenizer.ok());
  return std::move(tokenizer).value();
}

std::unique_ptr<Tokenizer> load_vocab(const GgufVocab& vocab) {
  auto tokenizer = from_vocab(vocab);
  INFO((tokenizer.ok() ? "" : tokenizer.error().describe()));
  REQUIRE(tokenizer.ok());
  return std::move(tokenizer).value();
}

// The model that TQ_MODEL or the project's set-up put there; empty: none.
std::string smollm2_path() {
  const char* given = std::getenv("TQ_MODEL");
  const std::string path =
      given != nullptr ? given : TQ_SOURCE_DIR "/.deps/models/SmolLM2-135M-Instruct.Q4_1.gguf";
  return std::filesystem::exists(path) ? path : "";
}

void check_round_trip(const Tokenizer& tokenizer) {
  for (const std::string& line : golden::lines()) {
    const auto ids = tokenizer.encode(line, kPlain);
    INFO(nlohmann::json(line).dump());
    REQUIRE(tokenizer.decode(ids, true) == line);
  }
}

TEST_CASE("tokenizer.json: ids equal PyPI tokenizers'") {
  for (const char* name : {"llama3", "qwen2", "llama2", "metaspace", "gemma", "mixed"}) {
    golden::check_ids(*load_json(name), name, {});
  }
}

TEST_CASE("a byte-level tokenizer gives back any text") { check_round_trip(*load_json("llama3")); }

TEST_CASE("GGUF vocabularies: each named pre-tokenizer equals the model's own expressions") {
  GgufVocab vocab = golden::gguf_vocab_of("llama3");
  constexpr size_t kGroup = 8;  // lines to a hash, as in the generator
  for (const auto& entry : std::filesystem::directory_iterator(golden::path_of("pre"))) {
    vocab.pre = entry.path().stem().string();
    const auto tokenizer = load_vocab(vocab);
    const auto hashes = golden::read_hashes("pre/" + entry.path().filename().string());
    const auto& lines = golden::lines();
    REQUIRE(hashes.size() == (lines.size() + kGroup - 1) / kGroup);
    size_t n_wrong = 0;
    size_t first = 0;
    for (size_t group = 0; group < hashes.size(); ++group) {
      uint64_t hash = golden::kFnvBasis;
      const size_t end = std::min(lines.size(), (group + 1) * kGroup);
      for (size_t i = group * kGroup; i < end; ++i) {
        hash = golden::fnv1a(tokenizer->encode(lines[i], kPlain), hash);
      }
      if (hash != hashes[group] && n_wrong++ == 0) first = group * kGroup;
    }
    INFO(vocab.pre << ", first in the lines from " << first);
    CHECK(n_wrong == 0);
  }
}

TEST_CASE("a sentencepiece model: ids equal PyPI sentencepiece's") {
  for (const std::string name : {"tiny_bpe", "tiny_unigram"}) {
    auto tokenizer = from_sentencepiece(golden::path_of(name + ".model"), {});
    REQUIRE(tokenizer.ok());
    golden::check_ids(**tokenizer, name, {.add_special = false, .parse_special = false});
    CHECK((*tokenizer)->strips_leading_space());
    for (const std::string& line : golden::lines()) {
      // U+2581 is how a model writes a space; everything else has characters or bytes.
      if (line.find("▁") != line.npos) continue;
      const auto ids = (*tokenizer)->encode(line, {.add_special = true, .parse_special = false});
      INFO(nlohmann::json(line).dump());
      REQUIRE((*tokenizer)->decode(ids) == line);
    }
  }
}

TEST_CASE("a GGUF vocabulary with scores equals the sentencepiece model it came from") {
  const auto json = nlohmann::json::parse(golden::read("tiny_bpe.vocab.json"));
  GgufVocab vocab;
  vocab.model = "llama";
  vocab.tokens = json["tokens"].get<std::vector<std::string>>();
  vocab.scores = json["scores"].get<std::vector<float>>();
  for (const int kind : json["token_types"]) {
    vocab.token_types.push_back(static_cast<TokenKind>(kind));
  }
  vocab.unk = 0;
  vocab.bos = 1;
  vocab.eos = 2;
  const auto tokenizer = load_vocab(vocab);
  golden::check_ids(*tokenizer, "tiny_bpe", {.add_special = false, .parse_special = false});
  CHECK(tokenizer->encode("the", {}).front() == 1);
}

TEST_CASE("SmolLM2 from its GGUF file: ids equal PyPI tokenizers'") {
  const std::string path = smollm2_path();
  if (path.empty()) {
    WARN("skipped: no model at TQ_MODEL or .deps/models");
    return;
  }
  const auto vocab = read_gguf_vocab(path);
  REQUIRE(vocab.ok());
  const auto tokenizer = load_vocab(*vocab);
  golden::check_ids(*tokenizer, "smollm2", {});
  CHECK(tokenizer->vocab_size() == 49152);
  CHECK(tokenizer->special().eos == 2);
  CHECK(tokenizer->special().stop == std::vector<TokenId>{2, 0});
  CHECK(tokenizer->encode("<|im_end|>", {}) == std::vector<TokenId>{2});
  CHECK(tokenizer->encode("<|im_end|>", {.parse_special = false}).size() > 1);
  CHECK(tokenizer->decode(tokenizer->encode("Grüße, 世界! 🦆\n\tx = 42", {})) ==
        "Grüße, 世界! 🦆\n\tx = 42");
}

}  // namespace
}  // namespace tq::models
