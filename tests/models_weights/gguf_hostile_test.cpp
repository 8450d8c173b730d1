// GGUF files that lie: each is refused with the code, the name and the byte that are wrong.
#include <catch2/catch.hpp>
#include <limits>
#include <string>
#include <vector>

#include "models/weights/gguf_source.h"
#include "models/weights/gguf_vocab.h"
#include "tests/models_weights/gguf_builder.h"
#include "tests/models_weights/test_files.h"

namespace tq::models {
namespace {

using testing::GgufBuilder;
constexpr uint64_t kMax = std::numeric_limits<uint64_t>::max();
constexpr uint32_t kF32 = 0;

void check_refused(const GgufBuilder& file, Code code, const std::string& says) {
  const auto parsed = file.parse();
  INFO("expected to say: " << says);
  REQUIRE_FALSE(parsed);
  INFO(parsed.error().describe());
  CHECK(parsed.error().code == code);
  CHECK(parsed.error().where == "made.gguf");
  CHECK(parsed.error().message.find(says) != std::string::npos);
}

void check_corrupt(const GgufBuilder& file, const std::string& says) {
  check_refused(file, Code::kCorrupt, says);
}

TEST_CASE("a well-formed file parses, so the lies below are what is refused") {
  GgufBuilder file;
  file.header(2, 2).key_u32("general.alignment", 8).key("a.flag", GgufType::kBool).put<uint8_t>(1);
  file.tensor("one", {2, 3}, kF32, 0).tensor("two", {32}, 8, 24).data(24 + 34, 8);
  const auto parsed = file.parse();
  INFO((parsed ? std::string() : parsed.error().describe()));
  REQUIRE(parsed);
  REQUIRE(parsed->tensors().size() == 2);
  CHECK(parsed->tensors()[0].shape == std::vector<int64_t>{3, 2});
  CHECK(parsed->tensors()[1].bytes.size() == 34);
  CHECK(parsed->tensors()[1].offset % 8 == 0);
  CHECK(parsed->get_int("general.alignment").value() == 8);
  CHECK(parsed->get_bool("a.flag").value());
  CHECK(parsed->get_int_or("missing", 5).value() == 5);
  CHECK(parsed->get_int("missing").error().code == Code::kNotFound);
  CHECK(parsed->get_string("a.flag").error().code == Code::kCorrupt);
  CHECK(parsed->get_ints("a.flag").error().code == Code::kCorrupt);
}

TEST_CASE("version 2 is read; version 1, later ones and big-endian files are not") {
  CHECK(GgufBuilder().header(0, 0, 2).parse());
  check_refused(GgufBuilder().header(0, 0, 1), Code::kUnsupported, "version 1");
  check_refused(GgufBuilder().header(0, 0, 4), Code::kUnsupported, "version 4");
  check_refused(GgufBuilder().header(0, 0, 0x03000000), Code::kUnsupported, "big-endian");
  check_corrupt(GgufBuilder().put<uint32_t>(0x12345678), "magic");
  check_corrupt(GgufBuilder().put<uint16_t>(0x4747), "magic");
}

TEST_CASE("counts that the file cannot hold are refused before anything is stored") {
  check_corrupt(GgufBuilder().header(0, kMax), "metadata keys");
  check_corrupt(GgufBuilder().header(kMax, 0), "tensors");
  check_corrupt(GgufBuilder().header(0, 1).put<uint64_t>(kMax).data(32), "the limit is 65535");
  check_corrupt(GgufBuilder().header(0, 1).put<uint64_t>(60000).put<uint64_t>(0), "are left");
  check_corrupt(GgufBuilder().header(0, 1).key("k", GgufType::kString).put<uint64_t>(kMax),
                "\"k\"");
  for (const GgufType type : {GgufType::kU8, GgufType::kU64, GgufType::kString, GgufType::kF32}) {
    check_corrupt(GgufBuilder().header(0, 1).key_array("k", type, kMax), "elements");
    check_corrupt(GgufBuilder().header(0, 1).key_array("k", type, kMax / 8 + 2), "elements");
  }
}

TEST_CASE("metadata that breaks the format is refused by key") {
  check_corrupt(GgufBuilder().header(0, 1).text("").put<uint32_t>(4).put<uint32_t>(0), "empty");
  check_corrupt(GgufBuilder().header(0, 1).text("k").put<uint32_t>(13).put<uint64_t>(0), "type 13");
  check_corrupt(GgufBuilder().header(0, 1).key_array("k", GgufType::kArray, 1).put<uint64_t>(0),
                "array of arrays");
  check_corrupt(GgufBuilder().header(0, 1).key("k", GgufType::kBool).put<uint8_t>(2), "bool");
  check_corrupt(GgufBuilder().header(0, 2).key_u32("k", 1).key_u32("k", 2), "twice");
  for (const uint32_t alignment : {0u, 3u, 1u << 21, 0xffffffffu}) {
    check_corrupt(GgufBuilder().header(0, 1).key_u32("general.alignment", alignment), "alignment");
  }
  check_corrupt(
      GgufBuilder().header(0, 1).key("general.alignment", GgufType::kBool).put<uint8_t>(1),
      "integer");
  // Bytes of a hostile key are escaped in the message.
  check_corrupt(GgufBuilder().header(0, 1).text("a\n\x1b[31m").put<uint32_t>(99).put<uint64_t>(0),
                "a\\x0a\\x1b[31m");
}

TEST_CASE("tensors that break the format are refused by name") {
  const auto one = [] { return GgufBuilder().header(1, 0); };
  check_corrupt(one().tensor("", {4}, kF32, 0).data(16), "empty");
  check_corrupt(one().tensor("t", {}, kF32, 0).data(16), "0 dimensions");
  check_corrupt(one().tensor("t", {1, 1, 1, 1, 1}, kF32, 0).data(16), "5 dimensions");
  check_corrupt(one().tensor("t", {0}, kF32, 0).data(16), "dimension of 0");
  check_corrupt(one().tensor("t", {kMax}, kF32, 0).data(16), "dimension of");
  check_corrupt(one().tensor("t", {1ull << 32, 1ull << 32}, kF32, 0).data(16), "overflows");
  check_corrupt(one().tensor("t", {1ull << 62}, kF32, 0).data(16), "overflows");
  check_corrupt(one().tensor("t", {31}, 2, 0).data(64), "whole blocks of Q4_0");
  check_corrupt(one().tensor("t", {4}, kF32, 4).data(64), "alignment 32");
  check_corrupt(one().tensor("t", {5}, kF32, 0).data(19), "takes 20 bytes");
  check_corrupt(one().tensor("t", {4}, kF32, 32).data(47), "takes 16 bytes");
  check_corrupt(one().tensor("t", {4}, kF32, kMax - 31).data(64), "takes 16 bytes");
  check_corrupt(one().tensor("t", {4}, kF32, 0), "ends before its tensor data");
  check_corrupt(one().text(std::string(300, 'n')).put<uint64_t>(0).put<uint64_t>(0),
                "limit is 255");
  check_refused(one().tensor("t", {256}, 11, 0).data(110), Code::kUnsupported, "ggml type 11");
  check_refused(one().tensor("t", {32}, 4000, 0).data(64), Code::kUnsupported, "ggml type 4000");
  const auto two = [] { return GgufBuilder().header(2, 0); };
  check_corrupt(two().tensor("t", {4}, kF32, 0).tensor("t", {4}, kF32, 32).data(64), "twice");
  check_corrupt(two().tensor("t", {4}, kF32, 0).tensor("u", {4}, kF32, 0).data(64), "overlap");
  check_corrupt(two().tensor("t", {9}, kF32, 0).tensor("u", {4}, kF32, 32).data(64), "overlap");
}

// The golden llama file with one change applied to its bytes.
std::vector<std::byte> changed(const std::string& name,
                               std::string_view from,
                               std::string_view to) {
  REQUIRE(from.size() == to.size());
  std::string text = testing::read_text(testing::golden(name));
  const size_t at = text.find(from);
  REQUIRE(at != std::string::npos);
  text.replace(at, from.size(), to);
  const auto* begin = reinterpret_cast<const std::byte*>(text.data());
  return {begin, begin + text.size()};
}

// The golden file with one more metadata key, and a filler that keeps the tensor data aligned.
std::vector<std::byte> with_key(const std::string& name, const GgufBuilder& key) {
  constexpr size_t kHeader = 24;
  constexpr size_t kAlignment = 32;
  constexpr size_t kFiller = 8 + 3 + 4 + 8;  // a string key "pad" without its text
  const size_t used = (key.bytes().size() + kFiller) % kAlignment;
  GgufBuilder added = key;
  added.key("pad", GgufType::kString).text(std::string(kAlignment - used, ' '));
  std::vector<std::byte> bytes = testing::read_bytes(testing::golden(name));
  bytes[16] = static_cast<std::byte>(std::to_integer<int>(bytes[16]) + 2);  // the key count
  bytes.insert(bytes.begin() + kHeader, added.bytes().begin(), added.bytes().end());
  return bytes;
}

void check_model(const std::vector<std::byte>& bytes, Code code, const std::string& says) {
  const auto opened = open_gguf_bytes(bytes, "made.gguf");
  INFO("expected to say: " << says);
  REQUIRE_FALSE(opened);
  INFO(opened.error().describe());
  CHECK(opened.error().code == code);
  CHECK(opened.error().message.find(says) != std::string::npos);
}

TEST_CASE("a model whose parts do not fit together is refused by name and shape") {
  const std::string file = "tiny_llama.gguf";
  check_model(changed(file, "blk.1.ffn_up.weight", "blk.1.ffn_uq.weight"), Code::kCorrupt,
              "model.layers.1.mlp.up_proj.weight [96, 64] is missing");
  check_model(changed(file, "blk.0.attn_q.weight", "blk.0.attn_k.weight"), Code::kCorrupt, "twice");
  check_model(changed(file, "llama.block_count", "llama.block_counu"), Code::kCorrupt,
              "\"llama.block_count\" is missing");
  // A tensor that no llama has changes the output if it is skipped.
  check_model(changed("tiny_qwen2.gguf", "blk.0.attn_q.bias", "blk.0.attn_x.bias"),
              Code::kUnsupported, "blk.0.attn_x.bias");
  std::string four("llama.attention.head_count_kv\x04\0\0\0\x02\0\0\0", 37);
  std::string other("llama.attention.head_count_kv\x04\0\0\0\x04\0\0\0", 37);
  check_model(
      changed(file, four, other), Code::kCorrupt,
      "model.layers.0.self_attn.k_proj.weight has the shape [32, 64], expected is [64, 64]");
  other[33] = 3;
  check_model(changed(file, four, other), Code::kCorrupt, "no multiple of 3 key-value heads");
  other[33] = 0;
  check_model(changed(file, four, other), Code::kCorrupt, "key-value heads is 0");
}

TEST_CASE("another architecture, experts and unknown scalings are unsupported by name") {
  check_model(changed("tiny_llama.gguf", std::string("\x05\0\0\0\0\0\0\0llama", 13),
                      std::string("\x05\0\0\0\0\0\0\0gemma", 13)),
              Code::kUnsupported, "architecture \"gemma\"");
  check_model(changed("tiny_qwen2.gguf", std::string("\x04\0\0\0\0\0\0\0yarn", 12),
                      std::string("\x04\0\0\0\0\0\0\0su!!", 12)),
              Code::kUnsupported, "rope.scaling.type");
  const auto added = [](const GgufBuilder& key) { return with_key("tiny_llama.gguf", key); };
  const auto wide = added(GgufBuilder().key_u32("llama.attention.sliding_window", 128));
  CHECK(open_gguf_bytes(wide, "made.gguf"));
  check_model(added(GgufBuilder().key_u32("llama.attention.sliding_window", 127)),
              Code::kUnsupported, "sliding_window");
  check_model(added(GgufBuilder().key_u32("llama.expert_count", 8)), Code::kUnsupported, "experts");
  check_model(added(GgufBuilder().key("llama.attention.causal", GgufType::kBool).put<uint8_t>(0)),
              Code::kUnsupported, "causal");
  check_model(added(GgufBuilder().key_u32("llama.attention.value_length", 8)), Code::kUnsupported,
              "value_length");
  check_model(added(GgufBuilder().key_u32("llama.attention.key_length", 15)), Code::kUnsupported,
              "value_length");
  check_model(added(GgufBuilder().key("llama.rope.scaling.factor", GgufType::kString).text("x")),
              Code::kCorrupt, "rope.scaling.factor");
}

TEST_CASE("a vocabulary that contradicts itself is refused by key") {
  const auto vocab_of = [](const std::vector<std::byte>& bytes) {
    auto parsed = GgufFile::parse(bytes, "made.gguf");
    REQUIRE(parsed);
    return gguf_vocab(*parsed);
  };
  const auto base = [](uint64_t n_keys) {
    GgufBuilder file;
    file.header(0, n_keys).key("tokenizer.ggml.model", GgufType::kString).text("gpt2");
    file.key_array("tokenizer.ggml.tokens", GgufType::kString, 2).text("a").text("b");
    return file;
  };
  CHECK(vocab_of(base(2).bytes()));
  auto far = base(3);
  far.key_u32("tokenizer.ggml.eos_token_id", 2);
  CHECK(vocab_of(far.bytes()).error().message.find("eos_token_id") != std::string::npos);
  auto none = base(3);
  none.key_u32("tokenizer.ggml.eos_token_id", 0xffffffffu);
  CHECK(vocab_of(none.bytes()).value().eos == -1);
  auto few = base(3);
  few.key_array("tokenizer.ggml.token_type", GgufType::kI32, 1).put<int32_t>(1);
  CHECK(vocab_of(few.bytes()).error().message.find("token_type") != std::string::npos);
  auto odd = base(3);
  odd.key_array("tokenizer.ggml.token_type", GgufType::kI32, 2).put<int32_t>(1).put<int32_t>(7);
  CHECK(vocab_of(odd.bytes()).error().code == Code::kCorrupt);
  auto scores = base(3);
  scores.key_array("tokenizer.ggml.scores", GgufType::kF32, 1).put(0.5f);
  CHECK(vocab_of(scores.bytes()).error().message.find("scores") != std::string::npos);
}

}  // namespace
}  // namespace tq::models
