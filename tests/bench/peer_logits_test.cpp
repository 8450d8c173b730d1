// Another engine's dump: a file written here word by word is read back; broken ones are refused.

#include "bench/quality/peer_logits.h"

#include <catch2/catch.hpp>
#include <cstring>
#include <filesystem>
#include <fstream>
#include <string>
#include <vector>

namespace tq::bench {
namespace {

// Two chunks of four tokens over a vocabulary of three. Scored: position 2 of each.
std::string dump() {
  std::string bytes = "_logits_";
  const auto put = [&](auto value) {
    bytes.append(reinterpret_cast<const char*>(&value), sizeof value);
  };
  for (const int32_t size : {4, 3, 2}) put(size);
  for (const int32_t token : {0, 1, 2, 1, 2, 2, 0, 1}) put(token);
  for (const float least : {-8.0f, -4.0f}) {
    put(0.5f);                                             // scale
    put(least);                                            // at word 0
    for (const uint16_t word : {10, 0, 14, 0}) put(word);  // the last is padding
  }
  return bytes;
}

struct File {
  explicit File(const std::string& bytes)
      : path((std::filesystem::temp_directory_path() / "tq_peer_logits_test.bin").string()) {
    std::ofstream(path, std::ios::binary) << bytes;
  }
  ~File() { std::filesystem::remove(path); }
  std::string path;
};

}  // namespace

TEST_CASE("a dump of llama-perplexity is read row by row") {
  const File file(dump());
  auto peer = PeerLogits::open(file.path);
  REQUIRE(peer.ok());
  CHECK((*peer)->context() == 4);
  CHECK((*peer)->vocab_size() == 3);
  CHECK((*peer)->n_chunks() == 2);
  CHECK((*peer)->chunk(1) == std::vector<TokenId>{2, 2, 0, 1});
  std::vector<float> row(3);
  REQUIRE((*peer)->read(1, 2, row).ok());
  CHECK(row == std::vector<float>{1.0f, -4.0f, 3.0f});
  REQUIRE((*peer)->read(0, 2, row).ok());
  CHECK(row == std::vector<float>{-3.0f, -8.0f, -1.0f});
}

TEST_CASE("a broken dump is refused") {
  const std::string good = dump();
  const auto refused = [](std::string bytes, const std::string& why) {
    const File file(bytes);
    const auto peer = PeerLogits::open(file.path);
    REQUIRE_FALSE(peer.ok());
    INFO(peer.error().describe());
    CHECK(peer.error().describe().find(why) != std::string::npos);
  };
  for (size_t n = 0; n < good.size(); ++n) refused(good.substr(0, n), "'");
  refused(good + "x", "bytes");
  std::string wrong = good;
  wrong[0] = 'x';
  refused(wrong, "no file of");
  wrong = good;
  wrong[8] = 3;  // a context of 3
  refused(wrong, "context of 3");
  wrong = good;
  wrong[20] = 9;  // a token outside the vocabulary
  refused(wrong, "token 9");
  CHECK_FALSE(PeerLogits::open("/nonexistent/dump").ok());
}

}  // namespace tq::bench
