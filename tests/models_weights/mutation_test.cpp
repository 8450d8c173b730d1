// Seeded mutations of well-formed model files: whatever the bytes, opening ends in a model or in
// kCorrupt or kUnsupported, reads nothing outside the file (the sanitizer build watches exact heap
// copies), and allocates less than 64 MiB. TQ_SEED changes the seed, TQ_MUTATIONS the number per
// file.
#include <algorithm>
#include <catch2/catch.hpp>
#include <cstdlib>
#include <cstring>
#include <filesystem>
#include <iostream>
#include <random>
#include <string>
#include <vector>

#include "models/weights/gguf_source.h"
#include "models/weights/gguf_vocab.h"
#include "models/weights/hf_config.h"
#include "models/weights/hf_folder.h"
#include "models/weights/safetensors.h"
#include "tests/models_weights/alloc_watch.h"
#include "tests/models_weights/test_files.h"

namespace tq::models {
namespace {

using Bytes = std::vector<std::byte>;
constexpr size_t kAllocationMax = 64u << 20;

uint64_t from_environment(const char* name, uint64_t otherwise) {
  const char* text = std::getenv(name);
  return text != nullptr ? std::strtoull(text, nullptr, 10) : otherwise;
}

uint64_t seed() {
  static const uint64_t value = [] {
    const uint64_t chosen = from_environment("TQ_SEED", 20261124);
    std::cout << "mutation seed " << chosen << "\n";
    return chosen;
  }();
  return value;
}

// Changes a file in one to four ways; mostly in its first n_header bytes, where the structure lies.
class Mutator {
 public:
  Mutator(uint64_t seed, size_t n_header) : random_(seed), n_header_(n_header) {}

  Bytes mutate(const Bytes& original) {
    Bytes bytes = original;
    const int n_changes = 1 + pick(4) / 2;
    for (int i = 0; i < n_changes; ++i) change(bytes);
    bytes.shrink_to_fit();
    return bytes;
  }

  int pick(int below) { return static_cast<int>(random_() % static_cast<uint64_t>(below)); }

 private:
  size_t place(const Bytes& bytes) {
    if (bytes.empty()) return 0;
    const size_t range = pick(10) < 9 ? std::min(n_header_, bytes.size()) : bytes.size();
    return random_() % range;
  }

  template <class T>
  void overwrite(Bytes& bytes, size_t at) {
    constexpr uint64_t kValues[] = {0,          1,          2,          7,          255,
                                    65536,      0x7fffffff, 0x80000000, 0xffffffff, 1ull << 32,
                                    1ull << 40, 1ull << 62, 1ull << 63, ~0ull,      ~0ull - 31};
    uint64_t value = kValues[random_() % std::size(kValues)];
    const int kind = pick(4);
    if (kind == 0) value = bytes.size() + static_cast<uint64_t>(pick(65)) - 32;
    if (kind == 1) value = random_();
    const T narrow = static_cast<T>(value);
    if (at + sizeof(T) <= bytes.size()) std::memcpy(bytes.data() + at, &narrow, sizeof(T));
  }

  void change(Bytes& bytes) {
    const size_t at = place(bytes);
    if (bytes.empty()) return;
    switch (pick(8)) {
      case 0:
      case 1: bytes[at] ^= std::byte{1} << pick(8); break;
      case 2: bytes[at] = static_cast<std::byte>(pick(256)); break;
      case 3: overwrite<uint64_t>(bytes, at); break;
      case 4: overwrite<uint32_t>(bytes, at); break;
      case 5: bytes.resize(at); break;
      case 6: {  // a piece of the file again, elsewhere
        const size_t from = place(bytes);
        const size_t n = std::min(bytes.size() - from, static_cast<size_t>(1 + pick(64)));
        const Bytes piece(bytes.begin() + static_cast<ptrdiff_t>(from),
                          bytes.begin() + static_cast<ptrdiff_t>(from + n));
        bytes.insert(bytes.begin() + static_cast<ptrdiff_t>(at), piece.begin(), piece.end());
        break;
      }
      default: {  // a hole
        const size_t n = std::min(bytes.size() - at, static_cast<size_t>(1 + pick(64)));
        bytes.erase(bytes.begin() + static_cast<ptrdiff_t>(at),
                    bytes.begin() + static_cast<ptrdiff_t>(at + n));
      }
    }
  }

  std::mt19937_64 random_;
  size_t n_header_;
};

struct Tally {
  int ok = 0;
  int refused = 0;
  size_t peak = 0;

  void print(const std::string& what) const {
    std::cout << what << ": " << ok << " opened, " << refused << " refused, at most " << peak / 1024
              << " KiB allocated\n";
  }
};

// Every promise of a source that opened: each tensor decodes from its first row to its last.
void read_model(const WeightSource& source) {
  for (const std::string& name : source.names()) {
    const auto weight = source.find(name);
    REQUIRE(weight);
    const int64_t width = weight->shape.back();
    std::vector<float> row(static_cast<size_t>(width));
    REQUIRE(dequantize(*weight, 0, row));
    REQUIRE(dequantize(*weight, weight->n_elements() - width, row));
  }
}

// Runs `open` on n mutations; it returns nullopt for a success, else the error.
template <class Open>
void run(const std::string& what,
         const Bytes& original,
         size_t n_header,
         uint64_t n_mutations,
         std::initializer_list<Code> allowed,
         const Open& open) {
  Mutator mutator(seed() ^ std::hash<std::string>()(what), n_header);
  Tally tally;
  for (uint64_t i = 0; i < n_mutations; ++i) {
    const Bytes bytes = mutator.mutate(original);
    const size_t before = testing::live_bytes();
    testing::reset_peak();
    const std::optional<Error> error = open(bytes);
    const size_t used = testing::peak_bytes() - before;
    tally.peak = std::max(tally.peak, used);
    error ? ++tally.refused : ++tally.ok;
    const bool known =
        !error || std::find(allowed.begin(), allowed.end(), error->code) != allowed.end();
    if (!known || used > kAllocationMax || (error && error->message.size() > 1000)) {
      INFO(what << " mutation " << i << ", " << used << " bytes allocated");
      FAIL((error ? error->describe() : std::string("opened")));
    }
  }
  tally.print(what);
  CHECK(tally.refused > 0);
}

template <class T>
std::optional<Error> outcome(const Result<T>& result) {
  return result ? std::nullopt : std::optional<Error>(result.error());
}

TEST_CASE("mutated GGUF files end in a model or a refusal", "[mutation]") {
  const uint64_t n = from_environment("TQ_MUTATIONS", 4000);
  // Header sizes cover metadata and directory of each file.
  const std::pair<const char*, size_t> files[] = {{"tiny_llama.gguf", 4500},
                                                  {"tiny_llama3.gguf", 1500},
                                                  {"tiny_qwen2.gguf", 1600},
                                                  {"tiny_qwen3.gguf", 1600}};
  for (const auto& [name, n_header] : files) {
    const Bytes original = testing::read_bytes(testing::golden(name));
    run(name, original, n_header, n, {Code::kCorrupt, Code::kUnsupported}, [](const Bytes& bytes) {
      const auto opened = open_gguf_bytes(bytes, "mutated.gguf");
      if (opened) read_model(**opened);
      return outcome(opened);
    });
  }
}

TEST_CASE("mutated GGUF vocabularies end in a vocabulary or a refusal", "[mutation]") {
  const Bytes original = testing::read_bytes(testing::golden("tiny_llama.gguf"));
  run("vocabulary", original, 3000, from_environment("TQ_MUTATIONS", 4000),
      {Code::kCorrupt, Code::kUnsupported, Code::kNotFound}, [](const Bytes& bytes) {
        const auto file = GgufFile::parse(bytes, "mutated.gguf");
        return file ? outcome(gguf_vocab(*file)) : outcome(file);
      });
}

TEST_CASE("mutated safetensors files end in tensors or a refusal", "[mutation]") {
  const uint64_t n = from_environment("TQ_MUTATIONS", 4000);
  for (const char* name :
       {"hf_llama/model.safetensors", "hf_qwen2/model-00001-of-00003.safetensors"}) {
    const Bytes original = testing::read_bytes(testing::golden(name));
    uint64_t n_header = 0;
    std::memcpy(&n_header, original.data(), sizeof(n_header));
    run(name, original, n_header + 8, n, {Code::kCorrupt, Code::kUnsupported},
        [](const Bytes& bytes) {
          const auto views = parse_safetensors(bytes, "mutated.safetensors");
          if (!views) return outcome(views);
          for (const WeightView& view : *views) {
            std::vector<float> all(static_cast<size_t>(view.n_elements()));
            REQUIRE(dequantize(view, 0, all));
          }
          return std::optional<Error>();
        });
  }
}

TEST_CASE("mutated config files end in a spec or a refusal", "[mutation]") {
  const uint64_t n = from_environment("TQ_MUTATIONS", 4000);
  for (const char* name : {"hf_llama/config.json", "hf_qwen2/config.json"}) {
    const Bytes original = testing::read_bytes(testing::golden(name));
    run(name, original, original.size(), n, {Code::kCorrupt, Code::kUnsupported},
        [](const Bytes& bytes) {
          const std::string text(reinterpret_cast<const char*>(bytes.data()), bytes.size());
          return outcome(hf_spec(text, "mutated.json"));
        });
  }
  const Bytes original = testing::read_bytes(testing::golden("hf_qwen2/tokenizer_config.json"));
  run("tokenizer_config.json", original, original.size(), n, {Code::kCorrupt},
      [](const Bytes& bytes) {
        const std::string text(reinterpret_cast<const char*>(bytes.data()), bytes.size());
        return outcome(hf_chat_template(text, "mutated.json"));
      });
}

// Whole folders on disk, mapped for real. A shard that an index names and nobody has is kNotFound.
TEST_CASE("mutated Hugging Face folders end in a model or a refusal", "[mutation]") {
  const testing::TempFolder folder;
  std::filesystem::copy(testing::golden("hf_qwen2"), folder.path());
  const uint64_t n = from_environment("TQ_MUTATIONS", 4000) / 8;
  for (const char* name :
       {"config.json", "model.safetensors.index.json", "model-00002-of-00003.safetensors"}) {
    const Bytes original = testing::read_bytes(folder.file(name));
    run(std::string("folder with ") + name, original, std::min<size_t>(original.size(), 2100), n,
        {Code::kCorrupt, Code::kUnsupported, Code::kNotFound}, [&](const Bytes& bytes) {
          testing::write_bytes(folder.file(name), bytes);
          const auto opened = open_hf_folder(folder.path());
          if (opened) read_model(**opened);
          return outcome(opened);
        });
    testing::write_bytes(folder.file(name), original);
  }
}

}  // namespace
}  // namespace tq::models
