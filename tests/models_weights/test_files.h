#pragma once
// Paths and files for the weight tests. Test code only.

#include <cstdlib>
#include <filesystem>
#include <fstream>
#include <iterator>
#include <string>

namespace tq::models::testing {

inline std::string golden(const std::string& name) {
  return std::string(TQ_SOURCE_DIR) + "/tests/golden/weights/" + name;
}

inline std::string read_all(const std::string& path) {
  std::ifstream in(path, std::ios::binary);
  return {std::istreambuf_iterator<char>(in), std::istreambuf_iterator<char>()};
}

// The SmolLM2 GGUF: $TQ_MODEL, or the model that the set-up fetches; empty where neither is there.
inline std::string real_model() {
  if (const char* path = std::getenv("TQ_MODEL"); path != nullptr && *path != '\0') return path;
  const std::string fetched =
      std::string(TQ_SOURCE_DIR) + "/.deps/models/SmolLM2-135M-Instruct.Q4_1.gguf";
  return std::filesystem::exists(fetched) ? fetched : std::string();
}

}  // namespace tq::models::testing
