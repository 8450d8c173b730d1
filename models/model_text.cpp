#include "models/model_text.h"

#include <filesystem>
#include <fstream>
#include <sstream>
#include <utility>

#include "models/tokenizer/load.h"
#include "models/weights/gguf_vocab.h"

namespace tq::models {
namespace {

namespace fs = std::filesystem;

constexpr uintmax_t kFileBytesMax = 256ull << 20;

// Empty where there is no such file.
Result<std::string> read_optional(const fs::path& path) {
  std::error_code ec;
  const uintmax_t size = fs::file_size(path, ec);
  if (ec) return std::string();
  if (size > kFileBytesMax) {
    return Error{Code::kTooLarge, "has " + std::to_string(size) + " bytes", path.string()};
  }
  std::ifstream file(path, std::ios::binary);
  std::ostringstream text;
  text << file.rdbuf();
  if (!file) return Error{Code::kIo, "cannot be read", path.string()};
  return text.str();
}

Result<std::unique_ptr<Tokenizer>> from_folder(const fs::path& folder) {
  TQ_ASSIGN(const std::string tokenizer, read_optional(folder / "tokenizer.json"));
  TQ_ASSIGN(const std::string config, read_optional(folder / "tokenizer_config.json"));
  TQ_ASSIGN(const std::string generation, read_optional(folder / "generation_config.json"));
  if (!tokenizer.empty()) {
    return from_tokenizer_json({.tokenizer_json = tokenizer,
                                .tokenizer_config_json = config,
                                .generation_config_json = generation});
  }
  const fs::path pieces = folder / "tokenizer.model";
  if (fs::exists(pieces)) {
    return from_sentencepiece(
        pieces.string(), {.tokenizer_config_json = config, .generation_config_json = generation});
  }
  return Error{Code::kNotFound, "has neither tokenizer.json nor tokenizer.model", folder.string()};
}

}  // namespace

Result<std::unique_ptr<Tokenizer>> load_tokenizer(const std::string& model_path) {
  std::error_code ec;
  if (fs::is_directory(model_path, ec)) return from_folder(model_path);
  TQ_ASSIGN(const GgufVocab vocab, read_gguf_vocab(model_path));
  return from_vocab(vocab);
}

Result<std::unique_ptr<ChatTemplate>> load_chat_template(const std::string& source) {
  if (source.empty()) return std::unique_ptr<ChatTemplate>();
  TQ_ASSIGN(ChatTemplate parsed, ChatTemplate::parse(source));
  return std::make_unique<ChatTemplate>(std::move(parsed));
}

}  // namespace tq::models
