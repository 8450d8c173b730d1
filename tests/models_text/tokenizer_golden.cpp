#include "tests/models_text/tokenizer_golden.h"

#include <catch2/catch.hpp>
#include <fstream>
#include <iterator>
#include <nlohmann/json.hpp>
#include <sstream>

namespace tq::models::golden {
namespace {

constexpr int kShownMax = 5;

std::string shown(std::span<const TokenId> ids) {
  std::ostringstream out;
  for (const TokenId id : ids) out << id << ' ';
  return out.str();
}

std::string wanted(std::string_view name, size_t line) {
  static const auto samples = nlohmann::json::parse(read("samples.json"));
  const auto& of_name = samples.at(std::string(name));
  const auto it = of_name.find(std::to_string(line));
  return it == of_name.end() ? "(not among the samples)" : it->dump();
}

}  // namespace

std::string path_of(std::string_view name) {
  return std::string(TQ_SOURCE_DIR "/tests/golden/tokenizer/") + std::string(name);
}

std::string read(std::string_view name) {
  std::ifstream file(path_of(name), std::ios::binary);
  INFO(path_of(name));
  REQUIRE(file.good());
  return {std::istreambuf_iterator<char>(file), std::istreambuf_iterator<char>()};
}

const std::vector<std::string>& lines() {
  static const std::vector<std::string> all = [] {
    std::vector<std::string> out;
    std::istringstream file(read("lines.jsonl"));
    for (std::string line; std::getline(file, line);) {
      out.push_back(nlohmann::json::parse(line).get<std::string>());
    }
    return out;
  }();
  REQUIRE(all.size() >= 10000);
  return all;
}

uint64_t fnv1a(std::span<const TokenId> ids, uint64_t value) {
  for (const TokenId id : ids) {
    for (int shift = 0; shift < 32; shift += 8) {
      value = (value ^ (static_cast<uint32_t>(id) >> shift & 0xFF)) * 0x100000001B3;
    }
  }
  return value;
}

std::vector<uint64_t> read_hashes(std::string_view name) {
  const std::string bytes = read(name);
  REQUIRE(bytes.size() % 8 == 0);
  std::vector<uint64_t> out(bytes.size() / 8);
  for (size_t i = 0; i < bytes.size(); ++i) {
    out[i / 8] |= static_cast<uint64_t>(static_cast<uint8_t>(bytes[i])) << (i % 8 * 8);
  }
  return out;
}

void check_ids(const Tokenizer& tokenizer, std::string_view name, const EncodeOptions& options) {
  const std::vector<uint64_t> hashes = read_hashes(std::string(name) + ".ids.bin");
  REQUIRE(hashes.size() == lines().size());
  int n_wrong = 0;
  std::ostringstream report;
  for (size_t i = 0; i < hashes.size(); ++i) {
    const std::string& line = lines()[i];
    const std::vector<TokenId> ids = tokenizer.encode(line, options);
    if (fnv1a(ids) == hashes[i] || ++n_wrong > kShownMax) continue;
    report << "\nline " << i << " " << nlohmann::json(line).dump() << "\n  gives  " << shown(ids)
           << "\n  wanted " << wanted(name, i);
  }
  INFO(name << report.str());
  CHECK(n_wrong == 0);
}

GgufVocab gguf_vocab_of(std::string_view name) {
  const auto document = nlohmann::json::parse(read(std::string(name) + ".tokenizer.json"));
  GgufVocab vocab;
  vocab.model = "gpt2";
  const auto put = [&](const std::string& token, size_t id, TokenKind kind) {
    if (vocab.tokens.size() <= id) {
      vocab.tokens.resize(id + 1);
      vocab.token_types.resize(id + 1, TokenKind::kNormal);
    }
    vocab.tokens[id] = token;
    vocab.token_types[id] = kind;
  };
  for (const auto& [token, id] : document["model"]["vocab"].items()) {
    put(token, id.get<size_t>(), TokenKind::kNormal);
  }
  for (const auto& token : document["added_tokens"]) {
    put(token["content"].get<std::string>(), token["id"].get<size_t>(),
        token["special"].get<bool>() ? TokenKind::kControl : TokenKind::kUserDefined);
  }
  for (const auto& merge : document["model"]["merges"]) {
    vocab.merges.push_back(merge[0].get<std::string>() + " " + merge[1].get<std::string>());
  }
  return vocab;
}

}  // namespace tq::models::golden
