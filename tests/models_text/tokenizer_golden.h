#pragma once
// What tests/golden/tokenizer holds, read back: the lines, and the hashes of the ids they give.

#include <cstdint>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "config/ids.h"
#include "models/tokenizer/tokenizer.h"
#include "models/tokenizer/vocab.h"

namespace tq::models::golden {

// Path of a file of tests/golden/tokenizer; and its bytes, which must be there.
std::string path_of(std::string_view name);
std::string read(std::string_view name);

const std::vector<std::string>& lines();

// FNV-1a over ids, 4 bytes each, little endian; `value` continues an earlier one.
inline constexpr uint64_t kFnvBasis = 0xCBF29CE484222325;
uint64_t fnv1a(std::span<const TokenId> ids, uint64_t value = kFnvBasis);

std::vector<uint64_t> read_hashes(std::string_view name);

// Encodes every line and compares with NAME.ids.bin; shows the first that differ, with the ids
// wanted where samples.json has them.
void check_ids(const Tokenizer& tokenizer, std::string_view name, const EncodeOptions& options);

// The vocabulary of NAME.tokenizer.json as a GGUF file would hold it.
GgufVocab gguf_vocab_of(std::string_view name);

}  // namespace tq::models::golden
