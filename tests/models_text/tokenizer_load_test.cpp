// What loaders refuse, and with which words; which ids are special and end a turn.

#include <catch2/catch.hpp>
#include <cmath>
#include <nlohmann/json.hpp>

#include "models/tokenizer/load.h"
#include "tests/models_text/tokenizer_golden.h"

namespace tq::models {
namespace {

using nlohmann::json;

// A byte-level tokenizer.json of three tokens, to be spoiled by each test.
json tiny_json() {
  return json::parse(R"({
    "model": {"type": "BPE", "vocab": {"a": 0, "b": 1, "ab": 2}, "merges": ["a b"]},
    "pre_tokenizer": {"type": "ByteLevel", "add_prefix_space": false, "use_regex": true},
    "decoder": {"type": "ByteLevel"},
    "added_tokens": [{"id": 3, "content": "<|im_end|>", "special": true}]})");
}

Result<std::unique_ptr<Tokenizer>> load(const json& document,
                                        std::string_view config = {},
                                        std::string_view generation = {}) {
  const std::string text = document.dump();
  return from_tokenizer_json({.tokenizer_json = text,
                              .tokenizer_config_json = config,
                              .generation_config_json = generation});
}

void check_refused(const json& document, Code code, const std::string& says) {
  const auto result = load(document);
  INFO(says);
  REQUIRE(!result.ok());
  INFO(result.error().describe());
  CHECK(result.error().code == code);
  CHECK(result.error().describe().find(says) != std::string::npos);
}

GgufVocab tiny_vocab() {
  return {.model = "gpt2",
          .pre = "gpt-2",
          .tokens = {"a", "b", "ab", "<|im_end|>", "<|endoftext|>"},
          .token_types = {TokenKind::kNormal, TokenKind::kNormal, TokenKind::kNormal,
                          TokenKind::kControl, TokenKind::kNormal},
          .scores = {},
          .merges = {"a b"},
          .bos = -1,
          .eos = -1,
          .pad = -1,
          .unk = -1,
          .stop = {},
          .add_bos = {},
          .add_eos = {},
          .add_space_prefix = {}};
}

void check_refused(const GgufVocab& vocab, Code code, const std::string& says) {
  const auto result = from_vocab(vocab);
  INFO(says);
  REQUIRE(!result.ok());
  INFO(result.error().describe());
  CHECK(result.error().code == code);
  CHECK(result.error().describe().find(says) != std::string::npos);
}

TEST_CASE("tokenizer.json: what is not known is named") {
  REQUIRE(load(tiny_json()).ok());
  const std::vector<std::tuple<const char*, json, const char*>> changes = {
      {"/model/type", "Unigram", "\"Unigram\""},
      {"/model/end_of_word_suffix", "</w>", "model.end_of_word_suffix"},
      {"/model/continuing_subword_prefix", "##", "model.continuing_subword_prefix"},
      {"/model/dropout", 0.1, "model.dropout"},
      {"/normalizer", json::parse(R"({"type": "Sequence", "normalizers": [{"type": "Nmt"}]})"),
       "normalizer.normalizers.0: a normalizer of type \"Nmt\""},
      {"/pre_tokenizer/type", "UnicodeScripts", "\"UnicodeScripts\""},
      {"/decoder/type", "WordPiece", "\"WordPiece\""},
      {"/decoder", nullptr, "decoder"},
      {"/post_processor", json{{"type", "Mystery"}}, "\"Mystery\""},
      {"/pre_tokenizer",
       json::parse(R"({"type": "Split", "pattern": {"Regex": "[a&&b]"}, "behavior": "Isolated"})"),
       "pre_tokenizer.pattern.Regex"},
      {"/pre_tokenizer",
       json::parse(R"({"type": "Split", "pattern": {"String": "x"}, "behavior": "Sideways"})"),
       "Sideways"},
  };
  for (const auto& [where, value, says] : changes) {
    json document = tiny_json();
    document[json::json_pointer(where)] = value;
    check_refused(document, Code::kUnsupported, says);
  }
}

TEST_CASE("tokenizer.json: a file that contradicts itself is refused") {
  const std::vector<std::tuple<const char*, json, const char*>> changes = {
      {"/model/vocab", json::array(), "model.vocab"},
      {"/model/vocab/a", -1, "model.vocab.a"},
      {"/model/vocab/a", 1 << 30, "1073741824"},
      {"/model/vocab/a", "x", "model.vocab.a"},
      {"/model/merges", json::array({"a c"}), "\"c\" is not in the vocabulary"},
      {"/model/merges", json::array({"b a"}), "\"ba\" is not in the vocabulary"},
      {"/model/merges", json::array({"ab"}), "merge \"ab\""},
      {"/model/merges", json::array({7}), "merge 0"},
      {"/model/unk_token", "?", "model.unk_token"},
      {"/added_tokens/0/id", "3", "added_tokens.0.id"},
      {"/added_tokens/0/special", "yes", "added_tokens.0.special"},
      {"/added_tokens", 5, "added_tokens"},
      {"/model", 5, "model"},
  };
  for (const auto& [where, value, says] : changes) {
    json document = tiny_json();
    document[json::json_pointer(where)] = value;
    check_refused(document, Code::kCorrupt, says);
  }
  for (const char* text : {"", "{", "[]", "null", "7", "\xff", "{\"model\":{\"type\":\"BPE\"}}"}) {
    const auto result = from_tokenizer_json({.tokenizer_json = text});
    INFO(text);
    REQUIRE(!result.ok());
    CHECK(result.error().code == Code::kCorrupt);
  }
}

TEST_CASE("tokenizer.json: a broken expression is an error that shows it") {
  json document = tiny_json();
  document["pre_tokenizer"] = {
      {"type", "Split"}, {"pattern", {{"Regex", "(a"}}}, {"behavior", "Isolated"}};
  check_refused(document, Code::kInvalidArgument, "(a");
}

TEST_CASE("tokenizer.json: special tokens come from the files beside it") {
  json document = tiny_json();
  document["added_tokens"].push_back({{"id", 4}, {"content", "<s>"}, {"special", true}});
  auto plain = load(document);
  REQUIRE(plain.ok());
  CHECK((*plain)->special().eos == 3);  // guessed
  CHECK((*plain)->encode("ab", {}) == std::vector<TokenId>{2});

  auto named = load(document, R"({"tokenizer_class": "LlamaTokenizerFast", "add_bos_token": true,
      "bos_token": {"content": "<s>"}, "eos_token": "b", "pad_token": null})",
                    R"({"eos_token_id": [1, 2]})");
  REQUIRE(named.ok());
  const SpecialTokens& special = (*named)->special();
  CHECK(special.bos == 4);
  CHECK(special.eos == 1);
  CHECK(special.pad == -1);
  CHECK(special.stop == std::vector<TokenId>{1, 2, 3});
  CHECK((*named)->encode("ab", {}) == std::vector<TokenId>{4, 2});
  CHECK((*named)->encode("ab", {.add_special = false}) == std::vector<TokenId>{2});

  auto unheeded = load(document, R"({"tokenizer_class": "GPT2Tokenizer", "add_bos_token": true,
      "bos_token": "<s>"})");
  REQUIRE(unheeded.ok());
  CHECK((*unheeded)->encode("ab", {}) == std::vector<TokenId>{2});

  CHECK(!load(document, "{", "").ok());
  CHECK(!load(document, "", R"({"eos_token_id": "x"})").ok());
  CHECK(!load(document, "", R"({"eos_token_id": 99})").ok());
}

TEST_CASE("GGUF vocabularies: what is wrong is refused") {
  REQUIRE(from_vocab(tiny_vocab()).ok());
  const auto spoiled = [](auto change) {
    GgufVocab vocab = tiny_vocab();
    change(vocab);
    return vocab;
  };
  check_refused(spoiled([](auto& v) { v.model = "bert"; }), Code::kUnsupported, "\"bert\"");
  check_refused(spoiled([](auto& v) { v.pre = "odd"; }), Code::kUnsupported, "\"odd\"");
  check_refused(spoiled([](auto& v) { v.tokens.clear(); }), Code::kCorrupt, "ggml.tokens");
  check_refused(spoiled([](auto& v) { v.token_types.pop_back(); }), Code::kCorrupt, "token_type");
  check_refused(spoiled([](auto& v) { v.eos = 5; }), Code::kCorrupt, "eos_token_id");
  check_refused(spoiled([](auto& v) { v.bos = -2; }), Code::kCorrupt, "bos_token_id");
  check_refused(spoiled([](auto& v) { v.stop = {99}; }), Code::kCorrupt, "99");
  check_refused(spoiled([](auto& v) { v.merges = {"a z"}; }), Code::kCorrupt, "\"z\"");
  check_refused(spoiled([](auto& v) { v.merges = {"a "}; }), Code::kCorrupt, "ggml.merges");
  check_refused(spoiled([](auto& v) { v.model = "llama"; }), Code::kCorrupt, "scores");
  check_refused(spoiled([](auto& v) {
                  v.model = "llama";
                  v.scores = {0, 0, NAN, 0, 0};
                }),
                Code::kCorrupt, "scores");
}

TEST_CASE("GGUF vocabularies: only control tokens end a turn") {
  GgufVocab vocab = tiny_vocab();
  const auto plain = from_vocab(vocab);
  REQUIRE(plain.ok());
  CHECK((*plain)->special().stop == std::vector<TokenId>{3});
  vocab.token_types[4] = TokenKind::kControl;
  vocab.eos = 4;
  vocab.stop = {2};
  const auto both = from_vocab(vocab);
  REQUIRE(both.ok());
  CHECK((*both)->special().stop == std::vector<TokenId>{2, 4, 3});
}

TEST_CASE("GGUF vocabularies: bos and eos go around a text as the file or its kind says") {
  GgufVocab vocab = tiny_vocab();
  vocab.bos = 3;
  vocab.eos = 4;
  CHECK((*from_vocab(vocab))->encode("ab", {}) == std::vector<TokenId>{2});
  vocab.pre = "llama-bpe";
  CHECK((*from_vocab(vocab))->encode("ab", {}) == std::vector<TokenId>{3, 2});
  vocab.add_bos = false;
  vocab.add_eos = true;
  CHECK((*from_vocab(vocab))->encode("ab", {}) == std::vector<TokenId>{2, 4});
  CHECK((*from_vocab(vocab))->encode("ab", {.add_special = false}) == std::vector<TokenId>{2});
}

TEST_CASE("a sentencepiece file that is none is refused") {
  CHECK(from_sentencepiece("/does/not/exist", {}).error().code == Code::kIo);
  const auto wrong = from_sentencepiece(golden::path_of("manifest.json"), {});
  REQUIRE(!wrong.ok());
  CHECK(wrong.error().code == Code::kCorrupt);
  const auto right = from_sentencepiece(golden::path_of("tiny_bpe.model"),
                                        {.generation_config_json = R"({"eos_token_id": 123456})"});
  REQUIRE(!right.ok());
  CHECK(right.error().message.find("123456") != std::string::npos);
}

}  // namespace
}  // namespace tq::models
