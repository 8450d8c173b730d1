#include "bench/quality/text_set.h"

#include <algorithm>
#include <filesystem>
#include <fstream>
#include <sstream>
#include <utility>

namespace tq::bench {
namespace {

namespace fs = std::filesystem;

Result<std::vector<fs::path>> files_of(const std::string& path) {
  std::error_code ec;
  if (!fs::is_directory(path, ec)) return std::vector<fs::path>{path};
  std::vector<fs::path> files;
  for (const auto& entry : fs::directory_iterator(path, ec)) {
    if (entry.path().extension() == ".txt") files.push_back(entry.path());
  }
  if (files.empty()) return Error{Code::kNotFound, "'" + path + "' holds no *.txt", "--text"};
  std::sort(files.begin(), files.end());
  return files;
}

}  // namespace

Result<std::vector<Text>> load_texts(const std::vector<std::string>& paths,
                                     const models::Tokenizer& tokenizer) {
  std::vector<Text> texts;
  for (const std::string& path : paths) {
    TQ_ASSIGN(const auto files, files_of(path));
    for (const fs::path& file : files) {
      std::ifstream in(file, std::ios::binary);
      std::ostringstream content;
      content << in.rdbuf();
      if (!in || content.str().empty()) {
        return Error{Code::kIo, "'" + file.string() + "' is empty or cannot be read", "--text"};
      }
      texts.push_back({.name = file.stem().string(),
                       .tokens = tokenizer.encode(content.str(), {.parse_special = false})});
    }
  }
  return texts;
}

Result<std::vector<std::vector<TokenId>>> windows_of(const Text& text,
                                                     int64_t n,
                                                     int64_t n_tokens) {
  const auto size = static_cast<int64_t>(text.tokens.size());
  if (size < n) {
    return Error{Code::kInvalidArgument,
                 "text '" + text.name + "' has " + std::to_string(size) +
                     " tokens, fewer than a context of " + std::to_string(n),
                 "--context"};
  }
  std::vector<std::vector<TokenId>> windows;
  for (int64_t first = 0; first == 0 || (first < n_tokens && first + n <= size); first += n) {
    windows.emplace_back(text.tokens.begin() + first, text.tokens.begin() + first + n);
  }
  return windows;
}

}  // namespace tq::bench
