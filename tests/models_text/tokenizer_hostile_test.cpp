// Texts made to break or to stall a tokenizer: every one ends in bounded time, and no byte is lost.

#include <catch2/catch.hpp>
#include <ctime>
#include <random>
#include <set>

#include "models/tokenizer/bpe_model.h"
#include "models/tokenizer/load.h"
#include "models/tokenizer/normalizer.h"
#include "tests/models_text/tokenizer_golden.h"

namespace tq::models {
namespace {

constexpr size_t kMega = 1 << 20;
// Processor time, since the machine may be busy. A linear pass over 1 MiB takes well under a
// second, a quadratic one minutes or hours; the limit only has to tell the two apart, also under
// sanitizers.
constexpr double kSecondsMax = 20;

std::vector<std::pair<std::string, std::unique_ptr<Tokenizer>>> tokenizers() {
  std::vector<std::pair<std::string, std::unique_ptr<Tokenizer>>> out;
  for (const std::string name : {"llama3", "llama2", "mixed"}) {
    const std::string json = golden::read(name + ".tokenizer.json");
    out.emplace_back(name, from_tokenizer_json({.tokenizer_json = json}).value());
  }
  GgufVocab vocab = golden::gguf_vocab_of("llama3");
  for (const char* pre : {"smollm", "deepseek-llm", "gpt-4o", "deepseek-v3"}) {
    vocab.pre = pre;
    out.emplace_back(pre, from_vocab(vocab).value());
  }
  out.emplace_back("tiny_bpe", from_sentencepiece(golden::path_of("tiny_bpe.model"), {}).value());
  return out;
}

std::string repeated(std::string_view unit, size_t n_bytes) {
  std::string out;
  while (out.size() < n_bytes) out += unit;
  return out;
}

TEST_CASE("a megabyte of anything is encoded in bounded time") {
  const auto texts_of = [](size_t n_bytes) {
    return std::vector<std::pair<const char*, std::string>>{
        {"one letter", std::string(n_bytes, 'a')},
        {"alternating letters", repeated("ab", n_bytes)},
        {"spaces", std::string(n_bytes, ' ')},
        {"spaces, then a letter", std::string(n_bytes, ' ') + "x"},
        {"spaces and line ends", repeated(" \n", n_bytes) + "x"},
        {"digits", std::string(n_bytes, '7')},
        {"capitals", std::string(n_bytes, 'A')},
        {"punctuation", std::string(n_bytes, '=')},
        {"NUL", std::string(n_bytes, '\0')},
        {"stray bytes", std::string(n_bytes, '\xff')},
        {"stray bytes between letters", repeated("a\xff", n_bytes)},
        {"cut sequences", repeated("\xe4\xb8", n_bytes)},
        {"marks in the wrong order", "a" + repeated("\u0301\u0323", n_bytes)},
        {"control tokens, almost", repeated("<|im_end", n_bytes)},
        {"control tokens", repeated("<|eot_id|>", n_bytes)},
    };
  };
  for (const auto& [name, tokenizer] : tokenizers()) {
    // A quarter tells the two apart as well; the whole for one of each implementation.
    const bool whole = name == "llama3" || name == "tiny_bpe";
    for (const auto& [what, text] : texts_of(whole ? kMega : kMega / 4)) {
      const std::clock_t begin = std::clock();
      const auto ids = tokenizer->encode(text, {});
      const double seconds = static_cast<double>(std::clock() - begin) / CLOCKS_PER_SEC;
      INFO(name << ": " << what << ", " << seconds << " s");
      CHECK(seconds < kSecondsMax);
      CHECK(ids.size() <= text.size() * 4 + 2);  // NFKC may grow a text; each symbol gives one id
    }
  }
}

TEST_CASE("bytes that are no UTF-8 come back as they were") {
  constexpr uint32_t kSeed = 7;
  INFO("seed " << kSeed);
  std::mt19937 random(kSeed);
  GgufVocab vocab = golden::gguf_vocab_of("llama3");
  const auto byte_level = from_vocab(vocab).value();
  const auto fallback = from_sentencepiece(golden::path_of("tiny_bpe.model"), {}).value();
  for (int round = 0; round < 2000; ++round) {
    std::string text(random() % 24, '\0');
    for (char& c : text)
      c = static_cast<char>(round % 2 == 0 ? random() : "aé\xff\xc3 "[random() % 6]);
    CHECK(byte_level->decode(byte_level->encode(text, {.add_special = false})) == text);
    CHECK(fallback->decode(fallback->encode(text, {.add_special = false})) == text);
  }
}

// The definition of merging, at its own pace: the best pair of the whole piece, again and again.
std::vector<TokenId> merged_slowly(std::vector<TokenId> ids,
                                   const std::vector<text::MergeRule>& rules) {
  for (;;) {
    const text::MergeRule* best = nullptr;
    size_t best_at = 0;
    for (size_t at = 0; at + 1 < ids.size(); ++at) {
      for (const auto& rule : rules) {
        const bool fits = rule.left == ids[at] && rule.right == ids[at + 1];
        if (fits && (best == nullptr || rule.rank < best->rank)) {
          best = &rule;
          best_at = at;
        }
      }
    }
    if (best == nullptr) return ids;
    ids[best_at] = best->merged;
    ids.erase(ids.begin() + static_cast<std::ptrdiff_t>(best_at) + 1);
  }
}

TEST_CASE("merging equals its definition on both sides of the short-piece limit") {
  constexpr uint32_t kSeed = 11;
  INFO("seed " << kSeed);
  std::mt19937 random(kSeed);
  constexpr int kLetters = 3;
  for (int round = 0; round < 60; ++round) {
    std::vector<text::MergeRule> rules;
    std::set<std::pair<int, int>> pairs;
    for (int i = 0; i < 20; ++i) {
      const auto n_ids = static_cast<uint32_t>(kLetters + rules.size());
      const auto left = static_cast<int32_t>(random() % n_ids);
      const auto right = static_cast<int32_t>(random() % n_ids);
      if (!pairs.emplace(left, right).second) continue;
      // Two rules to a rank: ties go to the left.
      rules.push_back({left, right, i / 2, static_cast<int32_t>(n_ids)});
    }
    text::BpeTables tables;
    tables.merges = text::MergeTable(rules);
    tables.n_vocab = static_cast<int32_t>(kLetters + rules.size());
    for (int i = 0; i < kLetters; ++i) tables.byte_ids[static_cast<size_t>('a' + i)] = i;
    const text::BpeModel model(std::move(tables));
    text::BpeModel::Scratch scratch;
    for (size_t n = 0; n < 120; n += 1 + n / 20) {
      std::string piece(n, 'a');
      std::vector<TokenId> letters(n);
      for (size_t i = 0; i < n; ++i) {
        letters[i] = static_cast<TokenId>(random() % kLetters);
        piece[i] = static_cast<char>('a' + letters[i]);
      }
      std::vector<TokenId> ids;
      model.encode(piece, scratch, ids);
      INFO(piece);
      REQUIRE(ids == merged_slowly(letters, rules));
    }
  }
}

TEST_CASE("canonical forms: known values") {
  using text::to_unicode_form;
  CHECK(to_unicode_form("a\u0323\u0302", {.compose = true}) == "\u1EAD");
  CHECK(to_unicode_form("a\u0302\u0323", {.compose = true}) == "\u1EAD");
  CHECK(to_unicode_form("\u212B", {.compose = true}) == "\u00C5");
  CHECK(to_unicode_form("\u1100\u1161\u11A8", {.compose = true}) == "\uAC01");
  CHECK(to_unicode_form("\u0958", {.compose = true}) ==
        "\u0915\u093C");  // excluded from composition
  CHECK(to_unicode_form("\uFB01", {.compose = true}) == "\uFB01");
  CHECK(to_unicode_form("\uFB01", {.compose = true, .compatibility = true}) == "fi");
  CHECK(to_unicode_form("\u00C5", {}) == "A\u030A");
}

}  // namespace
}  // namespace tq::models
