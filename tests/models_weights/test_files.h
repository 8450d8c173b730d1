#pragma once
// Paths, files and comparisons for the weight tests. Test code only.

#include <cstddef>
#include <cstdint>
#include <cstdlib>
#include <filesystem>
#include <fstream>
#include <iterator>
#include <span>
#include <string>
#include <vector>

namespace tq::models::testing {

inline std::string golden(const std::string& name) {
  return std::string(TQ_SOURCE_DIR) + "/tests/golden/weights/" + name;
}

inline std::string read_text(const std::string& path) {
  std::ifstream in(path, std::ios::binary);
  return {std::istreambuf_iterator<char>(in), std::istreambuf_iterator<char>()};
}

// Exactly as long as the file, on the heap: a sanitizer sees one byte too far.
inline std::vector<std::byte> read_bytes(const std::string& path) {
  const std::string text = read_text(path);
  const auto* begin = reinterpret_cast<const std::byte*>(text.data());
  return {begin, begin + text.size()};
}

inline void write_bytes(const std::string& path, std::span<const std::byte> bytes) {
  std::ofstream out(path, std::ios::binary | std::ios::trunc);
  out.write(reinterpret_cast<const char*>(bytes.data()),
            static_cast<std::streamsize>(bytes.size()));
}

// 64-bit FNV-1a in hexadecimal, as in tests/golden/weights/gen_weights.py.
inline std::string fnv1a(std::span<const std::byte> bytes) {
  uint64_t hash = 0xcbf29ce484222325u;
  for (const std::byte byte : bytes) {
    hash = (hash ^ std::to_integer<uint64_t>(byte)) * 0x100000001b3u;
  }
  constexpr char kHex[] = "0123456789abcdef";
  std::string text(16, '0');
  for (size_t i = 0; i < 16; ++i) text[i] = kHex[(hash >> (60 - 4 * i)) & 15];
  return text;
}

// A folder of its own under the system's temporary one, removed at the end of the scope.
class TempFolder {
 public:
  TempFolder() {
    std::string name = (std::filesystem::temp_directory_path() / "tq_weights_XXXXXX").string();
    path_ = ::mkdtemp(name.data()) != nullptr ? name : std::string();
  }
  TempFolder(const TempFolder&) = delete;
  TempFolder& operator=(const TempFolder&) = delete;
  ~TempFolder() {
    if (!path_.empty()) std::filesystem::remove_all(path_);
  }
  const std::string& path() const { return path_; }
  std::string file(const std::string& name) const { return path_ + "/" + name; }

 private:
  std::string path_;
};

// The SmolLM2 GGUF: $TQ_MODEL, or the model that the set-up fetches; empty where neither is there.
inline std::string real_model() {
  if (const char* path = std::getenv("TQ_MODEL"); path != nullptr && *path != '\0') return path;
  const std::string fetched =
      std::string(TQ_SOURCE_DIR) + "/.deps/models/SmolLM2-135M-Instruct.Q4_1.gguf";
  return std::filesystem::exists(fetched) ? fetched : std::string();
}

}  // namespace tq::models::testing
