#include <sentencepiece_processor.h>

#include <fstream>
#include <iterator>

#include "config/limits.h"
#include "models/tokenizer/added_tokens.h"
#include "models/tokenizer/bpe_build.h"
#include "models/tokenizer/byte_alphabet.h"
#include "models/tokenizer/hf_config.h"
#include "models/tokenizer/load.h"
#include "models/tokenizer/piece_table.h"
#include "models/tokenizer/stop_tokens.h"
#include "models/tokenizer/utf8.h"

namespace tq::models {
namespace {

using sentencepiece::SentencePieceProcessor;

// A serialised ModelProto holding normalizer_spec { add_dummy_prefix: false }. Protobuf messages
// merge when they are concatenated, so this behind a model switches its leading space off.
constexpr std::string_view kNoDummyPrefix("\x1A\x02\x18\x00", 4);

Error library_error(const sentencepiece::util::Status& status, const std::string& path) {
  return Error{Code::kCorrupt, "not a sentencepiece model: " + status.ToString(), path};
}

class SentencePieceTokenizer final : public Tokenizer {
 public:
  static Result<std::unique_ptr<Tokenizer>> load(const std::string& path,
                                                 const text::HfConfig& config);

  int vocab_size() const noexcept override { return pieces_.size(); }
  const SpecialTokens& special() const noexcept override { return special_; }
  std::vector<TokenId> encode(std::string_view text, const EncodeOptions& options) const override;
  std::string_view piece(TokenId id, bool show_control) const noexcept override {
    return pieces_.piece(id, show_control);
  }
  bool is_control(TokenId id) const noexcept override { return pieces_.is_control(id); }
  bool strips_leading_space() const noexcept override { return dummy_prefix_; }

 private:
  Result<void> read_pieces(const std::string& path);
  Result<void> read_special(const text::HfConfig& config, const std::string& path);
  void encode_plain(std::string_view plain, std::vector<TokenId>& out) const;
  void encode_stray_bytes(std::string_view bytes, std::vector<TokenId>& out) const;

  SentencePieceProcessor whole_;      // a text from its beginning
  SentencePieceProcessor continued_;  // what follows a stray byte: no space is put in front
  bool dummy_prefix_ = false;
  text::AddedTokens control_;
  std::array<TokenId, 256> byte_ids_{};
  text::PieceTable pieces_;
  SpecialTokens special_;
  bool add_bos_ = false;
  bool add_eos_ = false;
};

Result<std::unique_ptr<Tokenizer>> SentencePieceTokenizer::load(const std::string& path,
                                                                const text::HfConfig& config) {
  std::ifstream file(path, std::ios::binary);
  if (!file) return Error{Code::kIo, "cannot be opened", path};
  std::string bytes((std::istreambuf_iterator<char>(file)), std::istreambuf_iterator<char>());
  if (bytes.size() > limits::kModelHeaderBytesMax) {
    return Error{Code::kTooLarge,
                 std::to_string(bytes.size()) + " bytes, the limit is " +
                     std::to_string(limits::kModelHeaderBytesMax),
                 path};
  }
  auto tokenizer = std::make_unique<SentencePieceTokenizer>();
  if (const auto status = tokenizer->whole_.LoadFromSerializedProto(bytes); !status.ok()) {
    return library_error(status, path);
  }
  bytes += kNoDummyPrefix;
  if (const auto status = tokenizer->continued_.LoadFromSerializedProto(bytes); !status.ok()) {
    return library_error(status, path);
  }
  std::vector<std::string> probe;
  if (const auto status = tokenizer->whole_.Encode("a", &probe); !status.ok()) {
    return library_error(status, path);
  }
  tokenizer->dummy_prefix_ = !probe.empty() && probe.front().starts_with(text::kMetaspace);
  TQ_TRY(tokenizer->read_pieces(path));
  TQ_TRY(tokenizer->read_special(config, path));
  return std::unique_ptr<Tokenizer>(std::move(tokenizer));
}

Result<void> SentencePieceTokenizer::read_pieces(const std::string& path) {
  const int n = whole_.GetPieceSize();
  if (n > limits::kVocabMax) {
    return Error{Code::kTooLarge,
                 std::to_string(n) + " pieces, the limit is " + std::to_string(limits::kVocabMax),
                 path};
  }
  byte_ids_.fill(-1);
  for (int id = 0; id < n; ++id) {
    const std::string& piece = whole_.IdToPiece(id);
    if (whole_.IsControl(id) || whole_.IsUnknown(id)) {
      pieces_.push_back(piece, true);
      if (whole_.IsControl(id)) control_.add({.content = piece, .id = id, .control = true});
    } else if (const int byte = text::byte_of_fallback_token(piece);
               whole_.IsByte(id) && byte >= 0) {
      byte_ids_[static_cast<size_t>(byte)] = id;
      pieces_.push_back(std::string(1, static_cast<char>(byte)), false);
    } else {
      pieces_.push_back(text::metaspace_to_space(piece), false);
    }
  }
  return {};
}

Result<void> SentencePieceTokenizer::read_special(const text::HfConfig& config,
                                                  const std::string& path) {
  special_ = {whole_.bos_id(), whole_.eos_id(), whole_.pad_id(), whole_.unk_id(), config.eos_ids};
  // PieceToId gives unk for a text that is no piece.
  const auto find = [&](std::string_view name) -> TokenId {
    const TokenId id = whole_.PieceToId(name);
    return whole_.IdToPiece(id) == name && !whole_.IsUnknown(id) ? id : -1;
  };
  if (!config.bos_token.empty() && special_.bos < 0) special_.bos = find(config.bos_token);
  if (!config.eos_token.empty() && special_.eos < 0) special_.eos = find(config.eos_token);
  text::add_stop_tokens(find, special_);
  for (const TokenId id : special_.stop) {
    if (id >= vocab_size()) {
      return Error{Code::kCorrupt,
                   "stop token " + std::to_string(id) +
                       " of generation_config.json is outside the "
                       "vocabulary of " +
                       std::to_string(vocab_size()),
                   path};
    }
  }
  // The file does not say; the models that ship one begin a text with bos.
  add_bos_ = config.add_bos.value_or(true) && special_.bos >= 0;
  add_eos_ = config.add_eos.value_or(false) && special_.eos >= 0;
  return {};
}

std::vector<TokenId> SentencePieceTokenizer::encode(std::string_view text,
                                                    const EncodeOptions& options) const {
  std::vector<TokenId> out;
  if (options.add_special && add_bos_) out.push_back(special_.bos);
  std::vector<text::AddedTokens::Segment> segments;
  control_.split(text, options.parse_special, segments);
  for (const auto& [id, begin, end] : segments) {
    if (id >= 0) {
      out.push_back(id);
    } else {
      encode_plain(text.substr(begin, end - begin), out);
    }
  }
  if (options.add_special && add_eos_) out.push_back(special_.eos);
  return out;
}

void SentencePieceTokenizer::encode_stray_bytes(std::string_view bytes,
                                                std::vector<TokenId>& out) const {
  for (const char byte : bytes) {
    const TokenId id = byte_ids_[static_cast<unsigned char>(byte)];
    if (id >= 0 || special_.unk >= 0) out.push_back(id >= 0 ? id : special_.unk);
  }
}

// The library would turn a stray byte into U+FFFD, so it only sees what is well-formed.
void SentencePieceTokenizer::encode_plain(std::string_view plain, std::vector<TokenId>& out) const {
  const SentencePieceProcessor* processor = &whole_;
  std::vector<int> ids;
  while (!plain.empty()) {
    const std::string_view valid = plain.substr(0, text::valid_prefix_bytes(plain));
    if (!valid.empty()) {
      if (processor->Encode(valid, &ids).ok()) {
        out.insert(out.end(), ids.begin(), ids.end());
      } else {  // the library gave up on it; its bytes still stand for the text
        encode_stray_bytes(valid, out);
      }
    }
    plain.remove_prefix(valid.size());
    if (plain.empty()) return;
    encode_stray_bytes(plain.substr(0, 1), out);
    plain.remove_prefix(1);
    processor = &continued_;
  }
}

}  // namespace

Result<std::unique_ptr<Tokenizer>> from_sentencepiece(const std::string& path,
                                                      const SentencePieceOptions& options) {
  TQ_ASSIGN(const text::HfConfig config,
            text::read_hf_config(options.tokenizer_config_json, options.generation_config_json));
  return SentencePieceTokenizer::load(path, config);
}

}  // namespace tq::models
