#pragma once
// Which ids end a turn: eos and the well-known end-of-turn tokens that a vocabulary holds. Pure
// functions.

#include <functional>
#include <string_view>

#include "models/tokenizer/tokenizer.h"

namespace tq::models::text {

// The id of a control or added token with this text, or -1.
using FindControl = std::function<TokenId(std::string_view)>;

// Adds eos and the well-known ones to special.stop, each once; ids already there (which a file
// named) stay.
void add_stop_tokens(const FindControl& find, SpecialTokens& special);

// The first token that commonly is eos and that the vocabulary holds, for files that name none; or
// -1.
TokenId guess_eos(const FindControl& find);

}  // namespace tq::models::text
