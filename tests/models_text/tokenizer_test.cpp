// The contract's own code: decode() over pieces.
#include "models/tokenizer/tokenizer.h"

#include <catch2/catch.hpp>

namespace tq::models {
namespace {

// Two pieces and one control token, of a vocabulary that drops the first leading space.
class Spaced final : public Tokenizer {
 public:
  int vocab_size() const noexcept override { return 3; }
  const SpecialTokens& special() const noexcept override { return special_; }
  std::vector<TokenId> encode(std::string_view, const EncodeOptions&) const override { return {}; }
  std::string_view piece(TokenId id, bool show_control) const noexcept override {
    if (id == 0) return " a";
    if (id == 1) return show_control ? "<s>" : "";
    return id == 2 ? "b" : "";
  }
  bool is_control(TokenId id) const noexcept override { return id == 1; }
  bool strips_leading_space() const noexcept override { return true; }

 private:
  SpecialTokens special_;
};

TEST_CASE("decode drops only the first leading space, after hidden control tokens") {
  const Spaced tokenizer;
  const std::vector<TokenId> ids = {1, 0, 0, 2, 99, -1};
  CHECK(tokenizer.decode(ids) == "a ab");
  CHECK(tokenizer.decode(ids, true) == "<s> a ab");
  CHECK(tokenizer.decode({}).empty());
}

}  // namespace
}  // namespace tq::models
