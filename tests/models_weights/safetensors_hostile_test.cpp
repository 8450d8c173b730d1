// Safetensors files and folders that lie: each is refused with the code and the name of what is
// wrong.
#include <catch2/catch.hpp>
#include <cstring>
#include <filesystem>
#include <string>
#include <vector>

#include "models/weights/hf_folder.h"
#include "models/weights/safetensors.h"
#include "tests/models_weights/test_files.h"

namespace tq::models {
namespace {

std::vector<std::byte> with_header(const std::string& json, size_t n_data, uint64_t claimed) {
  std::vector<std::byte> bytes(sizeof(claimed) + json.size() + n_data);
  std::memcpy(bytes.data(), &claimed, sizeof(claimed));
  std::memcpy(bytes.data() + sizeof(claimed), json.data(), json.size());
  return bytes;
}
std::vector<std::byte> with_header(const std::string& json, size_t n_data) {
  return with_header(json, n_data, json.size());
}

void check_refused(const std::vector<std::byte>& bytes, Code code, const std::string& says) {
  const auto parsed = parse_safetensors(bytes, "made.safetensors");
  INFO("expected to say: " << says);
  REQUIRE_FALSE(parsed);
  INFO(parsed.error().describe());
  CHECK(parsed.error().code == code);
  CHECK(parsed.error().where == "made.safetensors");
  CHECK(parsed.error().message.find(says) != std::string::npos);
}

std::string entry(const std::string& name,
                  const std::string& dtype,
                  const std::string& shape,
                  const std::string& range) {
  return "\"" + name + "\":{\"dtype\":\"" + dtype + "\",\"shape\":" + shape +
         ",\"data_offsets\":" + range + "}";
}

TEST_CASE("a well-formed safetensors file parses") {
  const std::string json =
      "{\"__metadata__\":{\"format\":\"pt\"}," + entry("a", "F32", "[2,3]", "[0,24]") + "," +
      entry("s", "F16", "[]", "[24,26]") + "," + entry("none", "BF16", "[0,4]", "[26,26]") + "}   ";
  const auto bytes = with_header(json, 26);
  const auto parsed = parse_safetensors(bytes, "made.safetensors");
  INFO((parsed ? std::string() : parsed.error().describe()));
  REQUIRE(parsed);
  REQUIRE(parsed->size() == 3);
  CHECK((*parsed)[0].shape == std::vector<int64_t>{2, 3});
  CHECK((*parsed)[1].n_elements() == 1);
  CHECK((*parsed)[2].n_elements() == 0);
}

TEST_CASE("header lengths beyond the file are refused") {
  check_refused({std::byte{1}, std::byte{0}}, Code::kCorrupt, "header's length");
  check_refused(with_header("{}", 0, 3), Code::kCorrupt, "claims 3 bytes");
  check_refused(with_header("{}", 0, UINT64_MAX), Code::kCorrupt, "claims");
  check_refused(with_header("{}", 0, 1ull << 63), Code::kCorrupt, "claims");
  check_refused(with_header("{}", 0, 0), Code::kCorrupt, "JSON");
}

TEST_CASE("headers that are no such object are refused") {
  const auto refuse = [](const std::string& json, const std::string& says) {
    check_refused(with_header(json, 8), Code::kCorrupt, says);
  };
  refuse("[]", "array");
  refuse("7", "number");
  refuse("{\"a\":1}", "number");
  refuse("{\"a\":null}", "null");
  refuse("{\"a\":{}}", "too few fields");
  refuse("{\"a\":{\"dtype\":\"F32\",\"shape\":[2]}}", "too few fields");
  refuse("{" + entry("a", "F32", "[2]", "[0]") + "}", "too few fields");
  refuse("{" + entry("a", "F32", "[2]", "[0,8,9]") + "}", "data_offsets");
  refuse("{" + entry("a", "F32", "[-2]", "[0,8]") + "}", "negative");
  refuse("{" + entry("a", "F32", "[2.0]", "[0,8]") + "}", "fractional");
  refuse("{" + entry("a", "F32", "[1,1,1,1,2]", "[0,8]") + "}", "too many dimensions");
  refuse("{" + entry("a", "F32", "[[2]]", "[0,8]") + "}", "array");
  refuse("{" + entry("", "F32", "[2]", "[0,8]") + "}", "unnamed");
  refuse("{" + entry("a", "F32", "[2]", "[0,8]") + "," + entry("a", "F32", "[2]", "[0,8]") + "}",
         "twice");
  refuse("{\"a\":{\"dtype\":\"F32\",\"dtype\":\"F32\"}}", "repeated field");
  refuse("{\"a\":{\"other\":1}}", "unknown");
  refuse("{\"__metadata__\":{\"a\":1}}", "number");
  refuse("{" + entry("a", "F32", "[2]", "[0,8]"), "JSON");
  refuse("{" + entry("\xff", "F32", "[2]", "[0,8]") + "}", "JSON");
  refuse(std::string(100000, '['), "array");
}

TEST_CASE("ranges that do not match the shape or the file are refused by tensor") {
  const auto refuse = [](const std::string& json, const std::string& says) {
    check_refused(with_header("{" + json + "}", 16), Code::kCorrupt, says);
  };
  refuse(entry("a", "F32", "[4]", "[0,17]"), "takes data bytes");
  refuse(entry("a", "F32", "[4]", "[16,0]"), "takes data bytes");
  refuse(entry("a", "F32", "[4]", "[0,18446744073709551615]"), "takes data bytes");
  refuse(entry("a", "F32", "[3]", "[0,16]"), "asks for 12");
  refuse(entry("a", "F32", "[18446744073709551615]", "[0,16]"), "more than fits");
  refuse(entry("a", "F32", "[4294967296,4294967296]", "[0,16]"), "more than fits");
  refuse(entry("a", "F32", "[2]", "[0,8]"), "the tensors end at");
  refuse(entry("a", "F32", "[2]", "[8,16]"), "after a gap");
  refuse(entry("a", "F32", "[3]", "[0,12]") + "," + entry("b", "F32", "[2]", "[8,16]"),
         "inside another");
  check_refused(with_header("{" + entry("a", "I64", "[2]", "[0,16]") + "}", 16), Code::kUnsupported,
                "\"I64\"");
}

// A copy of a golden folder in which one file is replaced.
void check_folder(const std::string& name,
                  const std::string& file,
                  const std::string& content,
                  Code code,
                  const std::string& says) {
  const testing::TempFolder folder;
  std::filesystem::copy(testing::golden(name), folder.path());
  testing::write_bytes(folder.file(file), std::as_bytes(std::span(content)));
  const auto opened = open_hf_folder(folder.path());
  INFO("expected to say: " << says);
  REQUIRE_FALSE(opened);
  INFO(opened.error().describe());
  CHECK(opened.error().code == code);
  CHECK(opened.error().describe().find(says) != std::string::npos);
}

TEST_CASE("an index that leaves the folder or misplaces a tensor is refused") {
  const std::string index = "model.safetensors.index.json";
  const std::string good = testing::read_text(testing::golden("hf_qwen2/" + index));
  const auto with_file = [&](const std::string& file) {
    std::string text = good;
    const std::string from = "model-00002-of-00003.safetensors";
    for (size_t at = text.find(from); at != std::string::npos; at = text.find(from)) {
      text.replace(at, from.size(), file);
    }
    return text;
  };
  for (const char* file :
       {"../model.safetensors", "/etc/passwd", "..", ".", "", "a/b", "a\\\\b", "a\\u0000b"}) {
    check_folder("hf_qwen2", index, with_file(file), Code::kCorrupt, "names no plain file");
  }
  check_folder("hf_qwen2", index, with_file("model-00001-of-00003.safetensors"), Code::kCorrupt,
               "which does not hold it");
  check_folder("hf_qwen2", index, with_file("gone.safetensors"), Code::kNotFound,
               "gone.safetensors");
  check_folder("hf_qwen2", index, "{\"weight_map\": []}", Code::kCorrupt, "weight_map");
  check_folder("hf_qwen2", index, "{\"weight_map\": {\"a\": 1}}", Code::kCorrupt, "weight_map");
  check_folder("hf_qwen2", index, "{\"weight_map\": {}}", Code::kCorrupt, "is missing");
  check_folder("hf_qwen2", index, "{", Code::kCorrupt, "no valid JSON");
  check_folder("hf_qwen2", "model-00001-of-00003.safetensors", "short", Code::kCorrupt,
               "model-00001-of-00003.safetensors");
}

TEST_CASE("a folder whose parts do not fit together is refused by name and shape") {
  const auto config = [](const std::string& from, const std::string& to) {
    std::string text = testing::read_text(testing::golden("hf_llama/config.json"));
    const size_t at = text.find(from);
    REQUIRE(at != std::string::npos);
    return text.replace(at, from.size(), to);
  };
  check_folder("hf_llama", "config.json", config("\"vocab_size\": 40", "\"vocab_size\": 41"),
               Code::kCorrupt,
               "model.embed_tokens.weight has the shape [40, 32], expected is [41, 32]");
  check_folder("hf_llama", "config.json", config("_layers\": 2", "_layers\": 3"), Code::kCorrupt,
               "model.layers.2.input_layernorm.weight [32] is missing");
  check_folder("hf_llama", "config.json", config("_layers\": 2", "_layers\": 1"),
               Code::kUnsupported, "model.layers.1.");
  check_folder("hf_llama", "tokenizer_config.json", "{\"chat_template\": 3}", Code::kCorrupt,
               "chat_template");
  check_folder("hf_llama", "chat_template.jinja", std::string((1 << 20) + 1, 'x'), Code::kTooLarge,
               "chat template");
}

}  // namespace
}  // namespace tq::models
