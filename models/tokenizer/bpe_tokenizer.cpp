#include "models/tokenizer/bpe_tokenizer.h"

#include "models/tokenizer/utf8.h"

namespace tq::models::text {

BpeTokenizer::BpeTokenizer(BpeParts parts)
    : parts_(std::move(parts)), model_(std::move(parts_.tables)) {}

std::vector<TokenId> BpeTokenizer::encode(std::string_view text,
                                          const EncodeOptions& options) const {
  std::vector<TokenId> out;
  if (options.add_special) out = parts_.prefix;
  Scratch scratch;
  std::vector<AddedTokens::Segment> segments;
  parts_.raw_added.split(text, options.parse_special, segments);
  for (const auto& [id, begin, end] : segments) {
    if (id >= 0) {
      out.push_back(id);
    } else {
      encode_plain(text.substr(begin, end - begin),
                   begin == 0 ? Place::kTextStart : Place::kAfterToken, options.parse_special,
                   scratch, out);
    }
  }
  if (options.add_special) out.insert(out.end(), parts_.suffix.begin(), parts_.suffix.end());
  return out;
}

void BpeTokenizer::encode_plain(std::string_view text,
                                Place place,
                                bool parse_control,
                                Scratch& scratch,
                                std::vector<TokenId>& out) const {
  while (!text.empty()) {
    const size_t n_valid = valid_prefix_bytes(text);
    encode_valid(text.substr(0, n_valid), place, parse_control, scratch, out);
    if (n_valid == text.size()) return;
    model_.encode_stray_byte(static_cast<unsigned char>(text[n_valid]), out);
    text.remove_prefix(n_valid + 1);
    place = Place::kAfterByte;
  }
}

void BpeTokenizer::encode_valid(std::string_view text,
                                Place place,
                                bool parse_control,
                                Scratch& scratch,
                                std::vector<TokenId>& out) const {
  if (parts_.normalizer.empty() && parts_.normalized_added.empty()) {
    encode_pieces(text, place, scratch, out);
    return;
  }
  const std::string normal = parts_.normalizer.apply(text, place);
  parts_.normalized_added.split(normal, parse_control, scratch.segments);
  for (const auto& [id, begin, end] : scratch.segments) {
    if (id >= 0) {
      out.push_back(id);
    } else {
      const std::string_view part = std::string_view(normal).substr(begin, end - begin);
      encode_pieces(part, begin == 0 ? place : Place::kAfterToken, scratch, out);
    }
  }
}

void BpeTokenizer::encode_pieces(std::string_view text,
                                 Place place,
                                 Scratch& scratch,
                                 std::vector<TokenId>& out) const {
  parts_.pre_tokenizer.split(text, place, scratch.pre);
  for (const std::string_view piece : scratch.pre.pieces) model_.encode(piece, scratch.merge, out);
}

}  // namespace tq::models::text
